-- Shared by all scripts, and put before each of them. A script runs on one account as one atomic step.
--
-- KEYS[1] is the name of the account's state. Every other key of the account begins with that name. All of them have
-- the same hash tag, {apiKey}, and live in one slot of a cluster.
--
--   NAME           hash    last: the highest position given to a push or told as a watermark
--                          began: the beginning of the memory; what was pushed up to there may be lost
--                          bytes: the bytes of the frames of all kept pushes
--                          renewed: when the keys' times to live were last renewed
--                          level, leaked: the account's leaky bucket in millionths of a push, and when it last leaked
--                          again: written only so that a WAIT has a write before it
--   NAME:oldest    zset    the identifiers that have kept pushes, by the position of their oldest push
--   NAME:p:IDENT   list    the kept pushes of an identifier, oldest first: "POSITION SECRET PUSH_ID HEAD"
--   NAME:i:IDENT   hash    floor, secret_floor: the last public and the last secret push that was dropped
--                          public, secret: the last public and the last secret push
--                          bytes, renewed: as above, for the identifier
--   NAME:unsaid    list    pushes that are kept and not published yet, because replicas must have them first:
--                          "CHANNEL TEXT"
--   NAME:k:KEY     string  the answer to a push with this Idempotency-Key: "FINGERPRINT POSITION LISTENERS"
--   NAME:once:N    string  there for ten minutes after the nonce N was used
--   NAME:s         hash    for each signature when it was accepted and for which identifier: "TIME IDENTIFIER"
--   NAME:signed    list    the same signatures, oldest first: "TIME SIGNATURE"
--
-- take_slot.lua describes NAME:l:ADDRESS, NAME:n:NODE, NAME:h:NODE and NAME:nodes.
--
-- Pushes expire by themselves soon after they are too old. The floors, which tell a gap, are kept for a day more, and
-- the state of an account for a month.

local NAME = KEYS[1]
local KEPT = 600 * 1000000 -- microseconds for which a push is kept
local RECENTLY = 600 -- seconds for which a signature, a nonce and an Idempotency-Key are remembered
local RECENTLY_MS = RECENTLY * 1000 - 1 -- Redis still has a key in its last millisecond
local SECONDS_OF_PUSHES, SECONDS_OF_FLOORS = 720, 87120
local SECONDS_OF_ACCOUNT = 30 * 86400 -- without its state an account's memory would begin later, which is a gap
local SECONDS_OF_NODE = 20 -- a node that has read nothing of the account for so long is gone
local RENEWED_AFTER = 60 * 1000000 -- microseconds; renewing at each push would cost several commands
local MOST_DROPS = 1000 -- in one script, because a script stops everybody else
local MOST_UNCONFIRMED = 10000 -- pushes that wait for replicas
local MOST_PUBLISHED = 20000 -- pushes that one script publishes; above MOST_UNCONFIRMED

local time = redis.call('TIME')
local clock = time[1] * 1000000 + time[2]

-- The digits of a position. Exact up to 2^53, and ten times as fast as %.0f.
local function digits(number)
    return string.format('%d', number)
end

local function keys_of(identifier)
    return NAME .. ':p:' .. identifier, NAME .. ':i:' .. identifier
end

-- Read a kept push. Returns its position, whether it is secret, and the bytes of its frame. The frame is the head, the
-- position and a closing brace.
local function read_entry(entry)
    local position, secret, head = entry:match('^(%d+) (%d) %S+ ()')
    return tonumber(position), secret == '1', #entry - head + 1 + #position + 1
end

-- Begin a step of the account. Returns its next position, the beginning of its memory, and how many bytes it keeps.
--
-- The position is at least `lowest`, and `step` or more above the last one. `last_known` is the position of a push that
-- the node knows of. If this Redis has never come so far, then it was emptied, or it has gone back in time (a replica
-- was promoted that lacked the push). The memory of the account begins again in both cases, and every node hears of it
-- with the next push or watermark.
local function open(last_known, lowest, step)
    local state = redis.call('HMGET', NAME, 'last', 'began', 'bytes', 'renewed')
    local last, began = tonumber(state[1]), tonumber(state[2])
    local position = math.max(clock, (last or 0) + step, lowest)
    if not last or last_known > last then
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

-- End a step of the account.
local function close(position, bytes)
    redis.call('HSET', NAME, 'last', digits(position), 'bytes', bytes)
end

-- Drop the oldest push of an identifier. Returns how many bytes that frees.
local function drop_oldest(identifier)
    local pushes, info = keys_of(identifier)
    local entry = redis.call('LPOP', pushes)
    if not entry then -- all of them have expired: the last pushes are the last ones dropped
        local last = redis.call('HMGET', info, 'public', 'secret', 'bytes')
        redis.call('HSET', info, 'floor', last[1] or 0, 'secret_floor', last[2] or 0, 'bytes', 0)
        redis.call('EXPIRE', info, SECONDS_OF_FLOORS)
        redis.call('ZREM', NAME .. ':oldest', identifier)
        return tonumber(last[3]) or 0
    end
    local position, secret, size = read_entry(entry)
    redis.call('HSET', info, secret and 'secret_floor' or 'floor', digits(position))
    redis.call('HINCRBY', info, 'bytes', -size)
    local next_entry = redis.call('LINDEX', pushes, 0)
    if next_entry then
        redis.call('ZADD', NAME .. ':oldest', digits(read_entry(next_entry)), identifier)
    else
        redis.call('ZREM', NAME .. ':oldest', identifier)
    end
    return size
end

-- Drop the pushes at or below the position `oldest`, and then the oldest ones while more than `most` bytes are kept.
-- `bytes`: how many are kept now. Returns how many are left.
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

-- Publish the unconfirmed pushes up to the position `highest`, in their order. Only so many at a time: whoever waits for
-- the rest confirms it again.
local function publish_confirmed(highest)
    for _ = 1, MOST_PUBLISHED do
        local first = redis.call('LINDEX', NAME .. ':unsaid', 0)
        local channel, text = (first or ''):match('^(%S+) (.*)$')
        if not channel or tonumber(text:match('^%d+ %d+ (%d+)')) > highest then
            return
        end
        redis.call('LPOP', NAME .. ':unsaid')
        redis.call('PUBLISH', channel, text)
    end
end
