-- What every script here begins with: one account as Redis has it. KEYS[1] is the name of its state; every other key is
-- that name and more, so that all have one hash tag, {apiKey}, and live in one slot.
--
--   NAME           hash   last: the highest position given or told; began: what was up to there may be lost;
--                         bytes: of the frames of all pushes kept; renewed: when the keys were last let live on
--   NAME:oldest    zset   the identifiers of which pushes are kept, by the position of their oldest
--   NAME:p:IDENT   list   the pushes kept of an identifier: "POSITION SECRET PUSH_ID HEAD", oldest first
--   NAME:i:IDENT   hash   floor, secret_floor: the last push dropped; public, secret: the last push; bytes; renewed
--   NAME:unsaid    list   what is kept and not published yet, for replicas must have it first: "CHANNEL TEXT"
--
-- Pushes expire by themselves soon after they are too old; what it takes to tell a gap is kept for a day more, and the state
-- of an account for a month.

local NAME = KEYS[1]
local KEPT = 600 * 1000000
local RECENTLY = 600 -- seconds that a signature, a nonce and an Idempotency-Key are remembered
local RECENTLY_MS = RECENTLY * 1000 - 1 -- Redis has a key for the whole of its last millisecond
local SECONDS_OF_PUSHES, SECONDS_OF_FLOORS = 720, 87120
local SECONDS_OF_ACCOUNT = 30 * 86400 -- where its memory began would else seem to be later, and that a gap
local SECONDS_OF_NODE = 20 -- a node that has said nothing for so long is gone
local RENEWED_AFTER = 60 * 1000000 -- so that not every push must let its keys live on
local MOST_DROPS = 1000 -- in one go: a script holds up everybody
local MOST_UNSAID, MOST_SAID = 10000, 20000 -- pushes that may wait for replicas, and that are published in one go

local time = redis.call('TIME')
local clock = time[1] * 1000000 + time[2]

local function digits(number)
    return string.format('%d', number) -- exact up to 2^53, and ten times as fast as %.0f
end

local function keys_of(identifier)
    return NAME .. ':p:' .. identifier, NAME .. ':i:' .. identifier
end

-- An entry's position, whether it is secret, and the bytes of its frame: the head, the position and a brace.
local function read_entry(entry)
    local position, secret, head = entry:match('^(%d+) (%d) %S+ ()')
    return tonumber(position), secret == '1', #entry - head + 1 + #position + 1
end

-- The account's next position, at least `lowest` and `step` above the last one, where its memory begins, and how many
-- bytes are kept. A Redis that has never heard of a push that the node has seen was emptied or has gone back in time: then
-- its memory begins anew.
local function open(pushed, lowest, step)
    local state = redis.call('HMGET', NAME, 'last', 'began', 'bytes', 'renewed')
    local last, began = tonumber(state[1]), tonumber(state[2])
    local position = math.max(clock, (last or 0) + step, lowest)
    if not last or pushed > last then
        began = position - step
        redis.call('HSET', NAME, 'began', digits(began))
    end
    if clock - (tonumber(state[4]) or 0) > RENEWED_AFTER then
        redis.call('HSET', NAME, 'renewed', digits(clock))
        redis.call('EXPIRE', NAME, SECONDS_OF_ACCOUNT)
        redis.call('EXPIRE', NAME .. ':oldest', SECONDS_OF_FLOORS)
        redis.call('EXPIRE', NAME .. ':s', RECENTLY + 120)
        redis.call('EXPIRE', NAME .. ':signed', RECENTLY + 120)
    end
    return position, began, tonumber(state[3]) or 0
end

local function close(position, bytes)
    redis.call('HSET', NAME, 'last', digits(position), 'bytes', bytes)
end

-- Drop the oldest push of an identifier. Returns how many bytes that freed.
local function drop_oldest(identifier)
    local pushes, info = keys_of(identifier)
    local entry = redis.call('LPOP', pushes)
    if not entry then -- they have expired: what was last is what was dropped last
        local last = redis.call('HMGET', info, 'public', 'secret', 'bytes')
        redis.call('HSET', info, 'floor', last[1] or 0, 'secret_floor', last[2] or 0, 'bytes', 0)
        redis.call('EXPIRE', info, SECONDS_OF_FLOORS)
        redis.call('ZREM', NAME .. ':oldest', identifier)
        return tonumber(last[3]) or 0
    end
    local position, secret, size = read_entry(entry)
    redis.call('HSET', info, secret and 'secret_floor' or 'floor', digits(position))
    redis.call('HINCRBY', info, 'bytes', -size)
    local following = redis.call('LINDEX', pushes, 0)
    if following then
        redis.call('ZADD', NAME .. ':oldest', digits(read_entry(following)), identifier)
    else
        redis.call('ZREM', NAME .. ':oldest', identifier)
    end
    return size
end

-- Drop what is as old as `oldest`, and the oldest while more than `most` of the `bytes` are kept. Returns what is left.
local function drop(oldest, bytes, most)
    for _ = 1, MOST_DROPS do
        local first = redis.call('ZRANGE', NAME .. ':oldest', 0, 0, 'WITHSCORES')
        if not first[1] or (tonumber(first[2]) > oldest and bytes <= most) then
            break
        end
        bytes = bytes - drop_oldest(first[1])
    end
    return bytes
end

-- Publish what waits for it, in its order, up to `highest`, or some of it: who waits for the rest says it again.
local function say(highest)
    for _ = 1, MOST_SAID do
        local first = redis.call('LINDEX', NAME .. ':unsaid', 0)
        local channel, text = (first or ''):match('^(%S+) (.*)$')
        if not channel or tonumber(text:match('^%d+ %d+ (%d+)')) > highest then
            return
        end
        redis.call('LPOP', NAME .. ':unsaid')
        redis.call('PUBLISH', channel, text)
    end
end
