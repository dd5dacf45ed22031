-- The steps that several scripts take. `scripts.py` puts those that a script needs before it (see names.lua). A script runs on one account as one atomic step.
--
-- KEYS[1] is the name of the account. Every other key of the account begins with that name. All of them have the same
-- hash tag, {apiKey}, and live in one slot of a cluster.
--
-- KIND is `public` or `secret`. The two kinds of pushes have keys, limits and counts of their own, so that a listener
-- without a right to secret pushes cannot notice them.
--
--   NAME:state        hash    last: the highest position given to a push or told as a watermark
--                             began: the beginning of the memory; what was pushed up to there may be lost
--                             KIND_bytes: the bytes of the frames of all kept pushes of the kind
--                             KIND_others: the floor of the kind for all identifiers that have none of their own
--                             renewed: when the keys' times to live were last renewed
--                             level, leaked: the account's leaky bucket in millionths of a push, and when it last leaked
--                             again: written only so that a WAIT has a write before it
--   NAME:oldest:KIND  zset    the identifiers that have kept pushes of the kind, by the position of the oldest
--   NAME:floors:KIND  zset    the identifiers that have a floor of the kind, by when they were last pushed to
--   NAME:names        zset    the identifiers that have kept pushes of any kind, in the order of their names
--   NAME:KIND:IDENT   list    the kept pushes of an identifier and a kind, oldest first: "POSITION SECRET PUSH_ID HEAD"
--                             HEAD is the frame up to its position. If it begins with {"except":"ID", then the nodes cut this
--                             off, and do not send the push to the listener ID
--   NAME:info:IDENT   hash    KIND_last: the last push of the kind
--                             KIND_floor: the last push of the kind that was dropped
--                             KIND_bytes, KIND_renewed: as above, for the identifier
--   NAME              string  the layout of these keys. Versions of Cometify with another layout kept a hash here, and find
--                             that it is none: they refuse, and cannot answer wrongly
--   NAME:unsaid    list    pushes that are kept and not published yet, because replicas must have them first:
--                          "CHANNEL TEXT"
--   NAME:k:KEY     string  the answer to a push with this Idempotency-Key: "FINGERPRINT POSITION LISTENERS"
--   NAME:once:N    string  there for ten minutes after the nonce N was used
--   NAME:keyed     list    when each Idempotency-Key was used, oldest first. A batch has one for each of its pushes
--   NAME:nonces    list    the same of the nonces
--   NAME:s         hash    for each signature when it was accepted and for which identifier: "TIME IDENTIFIER"
--   NAME:signed    list    the same signatures, oldest first: "TIME SIGNATURE"
--
-- take_slot.lua describes NAME:l:ADDRESS, NAME:n:NODE, NAME:h:NODE and NAME:nodes, disconnect.lua NAME:revoked, and
-- add_usage.lua NAME:usage:*, webhook_report.lua NAME:e and the keys that begin
-- with it.
--
-- Pushes expire by themselves soon after they are too old. The floors, which tell a gap, are kept for a day more, and
-- the state of an account for a month.
--
-- An account can push to a new identifier each time. So only its latest floors of each kind are kept apart (see
-- core/floors.py), and the others become one floor for all of them. It may tell a gap that an identifier has not had, but it
-- never hides one. Both kinds are bounded apart, because secret pushes must not change what listeners without a right notice.

-- The index of the first push above the position `since`. The list is in the order of positions.
local function first_above(pushes, since)
    local low, high = 0, redis.call('LLEN', pushes)
    while low < high do
        local middle = math.floor((low + high) / 2)
        if read_entry(redis.call('LINDEX', pushes, middle)) > since then
            high = middle
        else
            low = middle + 1
        end
    end
    return low
end

-- The position of the first push that waits for replicas, or nil.
local function first_unconfirmed()
    return tonumber((redis.call('LINDEX', NAME .. ':unsaid', 0) or ''):match('^%S+ %d+ %d+ (%d+)'))
end

-- Read the state of the account for `open`, and the other fields of it that are named. The bytes of secret pushes are the
-- first of them, if they are needed.
local function read_state(...)
    return redis.call('HMGET', STATE, 'last', 'began', 'renewed', 'public_bytes', ...)
end

-- Begin a step of the account, whose state was read. Returns its next position, the digits of the beginning of its memory, and
-- the bytes that it keeps of each kind.
--
-- The position is at least `lowest`, and `step` or more above the last one. `last_known` is the position of a push that
-- the node knows of. If this Redis has never come so far, then it was emptied, or it has gone back in time (a replica
-- was promoted that lacked the push). The memory of the account begins again in both cases, and every node hears of it
-- with the next push or watermark.
local function open(state, last_known, lowest, step)
    local last, began = state[1] and state[1] + 0, state[2] or '0'
    local before = last or 0
    if not last then
        -- The last position that a version with another layout gave. What it kept is not read, so all of it counts as lost.
        local earlier = redis.pcall('HGET', NAME, 'last')
        redis.call('SET', NAME, LAYOUT, 'EX', SECONDS_OF_ACCOUNT)
        before = type(earlier) == 'string' and tonumber(earlier) or 0
    end
    local position = before + step
    if position < clock then
        position = clock
    end
    if position < lowest then
        position = lowest
    end
    if not last or last_known > last then
        began = digits(position - step)
        redis.call('HSET', STATE, 'began', began)
    end
    if clock - (state[3] or 0) > RENEWED_AFTER then
        redis.call('HSET', STATE, 'renewed', digits(clock))
        redis.call('EXPIRE', STATE, SECONDS_OF_ACCOUNT)
        redis.call('EXPIRE', NAME, SECONDS_OF_ACCOUNT)
        redis.call('EXPIRE', NAME .. ':oldest:public', SECONDS_OF_FLOORS)
        redis.call('EXPIRE', NAME .. ':oldest:secret', SECONDS_OF_FLOORS)
        redis.call('EXPIRE', NAME .. ':names', SECONDS_OF_FLOORS)
        redis.call('EXPIRE', NAME .. ':floors:public', SECONDS_OF_FLOORS)
        redis.call('EXPIRE', NAME .. ':floors:secret', SECONDS_OF_FLOORS)
        redis.call('EXPIRE', NAME .. ':s', RECENTLY + 120)
        redis.call('EXPIRE', NAME .. ':signed', RECENTLY + 120)
        redis.call('EXPIRE', NAME .. ':keyed', RECENTLY + 120)
        redis.call('EXPIRE', NAME .. ':nonces', RECENTLY + 120)
    end
    return position, began, {public = state[4] or 0, secret = state[5] or 0}
end

-- End a step of the account. `changes`: the other fields of its state that have changed, each before its value.
local function close(position, changes)
    redis.call('HSET', STATE, 'last', digits(position), unpack(changes))
end

-- The steps that few runs take, made only when they are needed.
local function seldom_used()
    -- Take an identifier out of the names if no push of it is left.
    local function forget_name(identifier)
        if redis.call('EXISTS', NAME .. ':public:' .. identifier, NAME .. ':secret:' .. identifier) == 0 then
            redis.call('ZREM', NAME .. ':names', identifier)
        end
    end

    -- Drop the oldest push of an identifier and a kind. Returns how many bytes that frees.
    local function drop_oldest(identifier, kind)
        local pushes, info = keys_of(identifier, kind)
        local floor_field, bytes_field, oldest_key = kind .. '_floor', kind .. '_bytes', NAME .. ':oldest:' .. kind
        local entry = redis.call('LPOP', pushes)
        if not entry then -- all of them have expired: the last push is the last one dropped
            local last = redis.call('HMGET', info, kind .. '_last', bytes_field)
            redis.call('HSET', info, floor_field, last[1] or 0, bytes_field, 0)
            redis.call('EXPIRE', info, SECONDS_OF_FLOORS)
            redis.call('ZREM', oldest_key, identifier)
            forget_name(identifier)
            return tonumber(last[2]) or 0
        end
        local position, size = read_entry(entry)
        redis.call('HSET', info, floor_field, digits(position))
        redis.call('HINCRBY', info, bytes_field, -size)
        local next_entry = redis.call('LINDEX', pushes, 0)
        if next_entry then
            redis.call('ZADD', oldest_key, digits((read_entry(next_entry))), identifier)
        else
            redis.call('ZREM', oldest_key, identifier)
            forget_name(identifier)
        end
        return size
    end

    -- Note that an identifier has a floor of a kind. While more than `most` identifiers have one, the floor of the one that was
    -- quiet for the longest goes into that of all others.
    local function note_floor(identifier, kind, most)
        local floors = NAME .. ':floors:' .. kind
        if redis.call('ZADD', floors, digits(clock), identifier) == 1 then
            redis.call('EXPIRE', floors, SECONDS_OF_FLOORS) -- `open` renews it
        end
        for _ = 1, MOST_FORGOTTEN do
            local first = redis.call('ZRANGE', floors, 0, 0, 'WITHSCORES')
            local _, info = keys_of(first[1], kind)
            if tonumber(first[2]) <= clock - SECONDS_OF_FLOORS * 1000000 then
                redis.call('ZREM', floors, first[1]) -- the floor has expired
            elseif redis.call('ZCARD', floors) <= most or redis.call('ZSCORE', NAME .. ':oldest:' .. kind, first[1]) then
                break -- there is room, or even this one has kept pushes
            else
                -- All pushes of the kind are dropped, so that the last one is the floor.
                local others = tonumber(redis.call('HGET', STATE, kind .. '_others')) or 0
                others = math.max(others, tonumber(redis.call('HGET', info, kind .. '_last')) or 0)
                redis.call('HSET', STATE, kind .. '_others', digits(others))
                redis.call('HDEL', info, kind .. '_last', kind .. '_floor', kind .. '_bytes', kind .. '_renewed')
                redis.call('ZREM', floors, first[1])
            end
        end
    end

    return {forget_name = forget_name, drop_oldest = drop_oldest, note_floor = note_floor}
end

-- Drop the pushes of a kind at or below the position `oldest`, and then the oldest ones while more than `most` bytes are
-- kept. `bytes`: how many are kept now. Returns how many are left.
local function drop(kind, oldest, bytes, most)
    local oldest_key, drop_oldest = NAME .. ':oldest:' .. kind, nil
    bytes = bytes + 0
    if bytes <= most and redis.call('ZCOUNT', oldest_key, '-inf', digits(oldest)) == 0 then
        return bytes
    end
    for _ = 1, MOST_DROPS do
        local first = redis.call('ZRANGE', oldest_key, 0, 0, 'WITHSCORES')
        if not first[1] or (tonumber(first[2]) > oldest and bytes <= most) then
            break
        end
        drop_oldest = drop_oldest or seldom_used().drop_oldest
        bytes = bytes - drop_oldest(first[1], kind)
    end
    return bytes
end

-- What an account remembers of requests, made only when it is needed.
local function request_books()
    -- The account remembers at most `most` nonces and at most `most` keys of requests. A new one must wait at that bound, because
    -- an older one could be sent again if it were forgotten.
    --
    -- `book`: NAME:keyed or NAME:nonces. `new`: how many this script has used that are not in it yet. Returns nil if it has room for
    -- `count` more, else what the script answers: {'full', microseconds until there is room}. Entries that are too old are
    -- dropped only here, and only as many as must make room.
    local function room_for(book, count, most, new)
        local over = redis.call('LLEN', book) + new + count - most
        if over <= 0 then
            return nil
        end
        local too_old = 0
        for _, when in ipairs(redis.call('LRANGE', book, 0, math.min(over, MOST_DROPS) - 1)) do
            if tonumber(when) > clock - RECENTLY * 1000000 then
                break
            end
            too_old = too_old + 1
        end
        if too_old > 0 then
            redis.call('LTRIM', book, too_old, -1)
            over = over - too_old
        end
        if over <= 0 then
            return nil
        end
        local goes = tonumber(redis.call('LINDEX', book, over - 1) or clock) + RECENTLY * 1000000 -- else it is a new one
        return {'full', digits(math.max(1, goes - clock))}
    end

    -- Write down that so many nonces or keys were used. Each of them has a key of its own, which expires by itself.
    local function note_in(book, count)
        local times = {}
        for index = 1, count do
            times[index] = digits(clock)
        end
        if redis.call('RPUSH', book, unpack(times)) == count then
            redis.call('EXPIRE', book, RECENTLY + 120) -- `open` renews it
        end
    end

    -- Use a nonce up, which `note_in` must note then. `new`: see `room_for`. Returns nil, or what the script answers: {'nonce'} if it
    -- was used before, or that of `room_for`.
    local function use_nonce(nonce, most, new)
        local once = NAME .. ':once:' .. nonce
        local full = room_for(NAME .. ':nonces', 1, most, new)
        if full then
            return redis.call('EXISTS', once) == 1 and {'nonce'} or full
        end
        if not redis.call('SET', once, 1, 'NX', 'PX', RECENTLY_MS) then
            return {'nonce'}
        end
        return nil
    end

    return {room_for = room_for, note_in = note_in, use_nonce = use_nonce}
end

-- Publish the unconfirmed pushes up to the position `highest`, in their order. Only so many at a time: whoever waits for
-- the rest confirms it again.
local function publish_confirmed(highest)
    for _ = 1, MOST_PUBLISHED do
        local first = redis.call('LINDEX', NAME .. ':unsaid', 0)
        if not first then
            return
        end
        local channel, text = first:match('^(%S+) (.*)$')
        if not channel or tonumber(text:match('^%d+ %d+ (%d+)')) > highest then
            return
        end
        redis.call('LPOP', NAME .. ':unsaid')
        redis.call(ANNOUNCE, channel, text)
    end
end
