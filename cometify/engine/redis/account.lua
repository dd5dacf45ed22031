-- What every script here begins with: one account as Redis has it. KEYS[1] is the name of its state; every other key is
-- that name and more, so that all have one hash tag, {apiKey}, and live in one slot.
--
--   NAME           hash   last: the highest position given or told; began: what was up to there may be lost;
--                         bytes: of the frames of all pushes kept
--   NAME:oldest    zset   the identifiers of which pushes are kept, by the position of their oldest
--   NAME:p:IDENT   list   the pushes kept of an identifier: "POSITION SECRET PUSH_ID HEAD", oldest first
--   NAME:i:IDENT   hash   floor, secret_floor: the last push dropped; public, secret: the last push; bytes
--
-- Pushes expire by themselves a minute after they are too old; what it takes to tell a gap is kept for a day more.

local NAME = KEYS[1]
local KEPT = 600 * 1000000
local SECONDS_OF_PUSHES, SECONDS_OF_FLOORS = 660, 87060
local MOST_DROPS = 1000 -- in one go: a script holds up everybody

local time = redis.call('TIME')
local clock = time[1] * 1000000 + time[2]

local function digits(number)
    return string.format('%.0f', number)
end

local function keys_of(identifier)
    return NAME .. ':p:' .. identifier, NAME .. ':i:' .. identifier
end

-- Where an entry's position, and the bytes of its frame, stand: the frame is the head, the position and a brace.
local function read_entry(entry)
    local position, secret, head = entry:match('^(%d+) (%d) %S+ ()')
    return tonumber(position), secret == '1', #entry - head + 1 + #position + 1
end

-- The account's next position, at least `lowest` and `step` above the last one, and where its memory begins. A Redis that
-- has never heard of a push that the node has seen was emptied or has gone back in time: then its memory begins anew.
local function open(pushed, lowest, step)
    local state = redis.call('HMGET', NAME, 'last', 'began')
    local last, began = tonumber(state[1]), tonumber(state[2])
    local position = math.max(clock, (last or 0) + step, lowest)
    if not last or pushed > last then
        began = position - step
        redis.call('HSET', NAME, 'began', digits(began))
    end
    redis.call('HSET', NAME, 'last', digits(position))
    redis.call('EXPIRE', NAME, SECONDS_OF_FLOORS)
    return position, began
end

-- The pushes of an identifier have expired: what was last is what was dropped last.
local function settle(identifier)
    local pushes, info = keys_of(identifier)
    local last = redis.call('HMGET', info, 'public', 'secret', 'bytes')
    redis.call('HSET', info, 'floor', last[1] or 0, 'secret_floor', last[2] or 0, 'bytes', 0)
    if redis.call('ZREM', NAME .. ':oldest', identifier) == 1 then
        redis.call('HINCRBY', NAME, 'bytes', -(tonumber(last[3]) or 0))
    end
end

local function drop_oldest(identifier)
    local pushes, info = keys_of(identifier)
    local entry = redis.call('LPOP', pushes)
    if not entry then
        settle(identifier)
        return
    end
    local position, secret, size = read_entry(entry)
    redis.call('HSET', info, secret and 'secret_floor' or 'floor', digits(position))
    redis.call('HINCRBY', info, 'bytes', -size)
    redis.call('HINCRBY', NAME, 'bytes', -size)
    local following = redis.call('LINDEX', pushes, 0)
    if following then
        redis.call('ZADD', NAME .. ':oldest', digits(read_entry(following)), identifier)
    else
        redis.call('ZREM', NAME .. ':oldest', identifier)
    end
end

-- Drop what is as old as `oldest`, and the oldest while more than `most` bytes are kept.
local function drop(oldest, most)
    for _ = 1, MOST_DROPS do
        local first = redis.call('ZRANGE', NAME .. ':oldest', 0, 0, 'WITHSCORES')
        if not first[1] then
            redis.call('HSET', NAME, 'bytes', 0)
            return
        end
        if tonumber(first[2]) > oldest and (tonumber(redis.call('HGET', NAME, 'bytes')) or 0) <= most then
            return
        end
        drop_oldest(first[1])
    end
end
