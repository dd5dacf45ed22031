-- End the batch with an id. If it is given up then its events count as dropped. Answers nothing. webhook_report.lua describes
-- the keys.

local id, given_up = ARGV[1], ARGV[2] == '1'
local EVENTS = NAME .. ':e'
local batch = redis.call('HMGET', EVENTS, 'batch_id', 'batch_count', 'dropped_id')
if batch[1] ~= id then
    return
end
if given_up then
    redis.call('HINCRBY', EVENTS, 'dropped', batch[2])
    redis.call('HINCRBY', EVENTS, 'lately', batch[2])
    redis.call('HSET', EVENTS, 'dropped_id', digits(math.max(tonumber(id), tonumber(batch[3]) or 0)))
end
redis.call('HDEL', EVENTS, 'batch', 'batch_id', 'batch_count', 'batch_made')
