-- A slot for a listener among those of its address, counted over all nodes.
--
--   NAME:l:ADDRESS  hash    for each listener id the node that holds its slot, and since when: "NODE TIME"
--   NAME:n:NODE     string  there while the node is alive
--
-- Answers the time since when the slot is held, or 'full' if all slots are taken. A listener that was at another node has
-- moved, and that node is told.
--
-- A node reports its slots again from time to time, with `since`. A report is never refused, because the listener is
-- connected. It is answered 'moved' if the listener has taken the slot at another node later. A Redis that has gone back in
-- time can name an older holder than the report: the later of the two counts.

local address, listener, node, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local node_prefix, api_key = ARGV[5], ARGV[6]
local since = tonumber(ARGV[7]) -- nil if this is no report
local slots = NAME .. ':l:' .. address
local SECONDS_OF_SLOTS = 3600 -- nodes report four times in an hour

local function read_slot(slot)
    return (slot or ''):match('^(%S+) (%d+)$')
end

-- Free the slots of nodes that are gone.
local function free_slots_of_dead_nodes()
    local is_alive = {[node] = true}
    local held = redis.call('HGETALL', slots)
    for index = 1, #held, 2 do
        local holder = read_slot(held[index + 1])
        if is_alive[holder] == nil then
            is_alive[holder] = redis.call('EXISTS', NAME .. ':n:' .. holder) == 1
        end
        if not is_alive[holder] then
            redis.call('HDEL', slots, held[index])
        end
    end
end

local holder, held_since = read_slot(redis.call('HGET', slots, listener))
held_since = tonumber(held_since) or 0
if since then
    if held_since > since and holder ~= node then
        return 'moved'
    end
elseif not holder and redis.call('HLEN', slots) >= most then
    free_slots_of_dead_nodes()
    if redis.call('HLEN', slots) >= most then
        return 'full'
    end
end
local time = digits(since and math.max(since, held_since) or math.max(clock, held_since + 1))
redis.call('HSET', slots, listener, node .. ' ' .. time)
if holder and holder ~= node then
    redis.call('PUBLISH', node_prefix .. holder, '!' .. cjson.encode({api_key, address, listener, time}))
end
redis.call('EXPIRE', slots, SECONDS_OF_SLOTS)
redis.call('SET', NAME .. ':n:' .. node, 1, 'EX', SECONDS_OF_NODE)
return time
