-- A slot for a listener among those of its address and of its account, counted over all nodes.
--
--   NAME:l:ADDRESS  hash    for each listener id the node that holds its slot, and since when: "NODE TIME"
--   NAME:n:NODE     string  there while the node is alive
--   NAME:h:NODE     set     the slots of the account that the node holds: "ADDRESS LISTENER"
--   NAME:nodes      set     the nodes that hold any
--
-- Answers the time since when the slot is held, 'full' if all slots of the address are taken, or 'full in all' if all of the
-- account are. A listener that was at another node has
-- moved, and that node is told.
--
-- A node reports its slots again from time to time, with `since`. A report is never refused, because the listener is
-- connected. It is answered 'moved' if the listener has taken the slot at another node later. A Redis that has gone back in
-- time can name an older holder than the report: the later of the two counts.

local address, listener, node, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local node_prefix, api_key = ARGV[5], ARGV[6]
local since = tonumber(ARGV[7]) -- nil if this is no report
local most_in_all = tonumber(ARGV[8]) -- 0 if the account has no such limit
local slots = NAME .. ':l:' .. address
local nodes, place = NAME .. ':nodes', address .. ' ' .. listener
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

-- The slots of the account. Those of nodes that are gone are forgotten; a node that comes back reports its slots again.
local function count_of_account()
    local count = 0
    for _, holder in ipairs(redis.call('SMEMBERS', nodes)) do
        if holder == node or redis.call('EXISTS', NAME .. ':n:' .. holder) == 1 then
            count = count + redis.call('SCARD', NAME .. ':h:' .. holder)
        else
            redis.call('DEL', NAME .. ':h:' .. holder)
            redis.call('SREM', nodes, holder)
        end
    end
    return count
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
if not since and most_in_all > 0 and count_of_account() >= most_in_all then
    -- It has a place already if its node is alive. The places of a node that is gone may be others' by now.
    if not holder or redis.call('SISMEMBER', NAME .. ':h:' .. holder, place) == 0 then
        return 'full in all'
    end
end
local time = digits(since and math.max(since, held_since) or math.max(clock, held_since + 1))
redis.call('HSET', slots, listener, node .. ' ' .. time)
if holder and holder ~= node then
    redis.call('SREM', NAME .. ':h:' .. holder, place)
    redis.call('PUBLISH', node_prefix .. holder, '!' .. cjson.encode({api_key, address, listener, time}))
end
redis.call('EXPIRE', slots, SECONDS_OF_SLOTS)
if redis.call('SADD', NAME .. ':h:' .. node, place) == 1 or since then
    redis.call('EXPIRE', NAME .. ':h:' .. node, SECONDS_OF_SLOTS)
end
local is_new = redis.call('SADD', nodes, node) == 1
if is_new then
    count_of_account() -- forgets the nodes that are gone
end
if is_new or since then
    redis.call('EXPIRE', nodes, SECONDS_OF_SLOTS)
end
redis.call('SET', NAME .. ':n:' .. node, 1, 'EX', SECONDS_OF_NODE)
return time
