-- Note what has changed at a node, for an account with a webhook: identifiers that have their first listener there, or whose
-- last one has left, and refusals. Answers 0 if this Redis does not know the node, which must then report everything again.
--
--   NAME:e          hash  last: the id of the last event
--                         dropped, dropped_id: the number of events that were dropped and not told yet, and the last of them
--                         lately: the events that were dropped since the last webhook_take.lua
--                         batch, batch_id, batch_count, batch_made: the body that is being sent, and its facts
--                         refused: when the first refusal came that no event has told
--   NAME:e:queue    list  the events that wait, oldest first, in JSON
--   NAME:e:nodes    hash  the nodes that have reported, and until when each counts without another call
--   NAME:e:at:NODE  set   the identifiers with a listener at a node
--   NAME:e:count    hash  the number of nodes with a listener, for each identifier that has one
--   NAME:e:changed  zset  the identifiers whose count has become 0 or 1, and when webhook_take.lua must look at each
--   NAME:e:told     set   the identifiers that the receiver was told are occupied
--   NAME:e:refused  hash  the refusals that no event has told, by code
--   NAME:e:lease    string  the node that sends
--
-- The receiver is told of differences between `count` and `told`, so a change that is undone in time is not told. A node that
-- dies leaves its identifiers behind. webhook_take.lua takes them away once the node has not called for long enough.

local node, lives, again, comes, goes = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4]), tonumber(ARGV[5])
local EVENTS = NAME .. ':e'
local SECONDS_OF_EVENTS = 86400
local SETTLES = 1000000 -- microseconds for which a listener may be at no node, because it has moved from one to another

if not again and redis.call('HEXISTS', EVENTS .. ':nodes', node) == 0 then
    return 0
end
redis.call('HSET', EVENTS .. ':nodes', node, digits(clock + lives))
local here = EVENTS .. ':at:' .. node
for index = 6, 5 + comes do
    if redis.call('SADD', here, ARGV[index]) == 1 and redis.call('HINCRBY', EVENTS .. ':count', ARGV[index], 1) == 1 then
        redis.call('ZADD', EVENTS .. ':changed', digits(clock + index - #ARGV), ARGV[index]) -- in this order
    end
end
for index = 6 + comes, 5 + comes + goes do
    if redis.call('SREM', here, ARGV[index]) == 1 and redis.call('HINCRBY', EVENTS .. ':count', ARGV[index], -1) < 1 then
        redis.call('HDEL', EVENTS .. ':count', ARGV[index])
        redis.call('ZADD', EVENTS .. ':changed', digits(clock + SETTLES), ARGV[index])
    end
end
for index = 6 + comes + goes, #ARGV, 2 do
    if redis.call('EXISTS', EVENTS .. ':refused') == 0 then
        redis.call('HSET', EVENTS, 'refused', digits(clock))
    end
    redis.call('HINCRBY', EVENTS .. ':refused', ARGV[index], ARGV[index + 1])
end
for _, part in ipairs({':nodes', ':at:' .. node, ':count', ':changed', ':refused'}) do
    redis.call('EXPIRE', EVENTS .. part, SECONDS_OF_EVENTS)
end
return 1
