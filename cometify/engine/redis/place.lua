-- A place for a listener among those of its address, counted over all nodes.
--
--   NAME:l:ADDRESS  hash    the node at which each listener of the address is
--   NAME:n:NODE     string  there while the node is
--
-- Answers 'held', or 'full' if all places are taken. Who was at another node has moved: that one is told. A node that only
-- says again what it held (`again`) has a place for everybody, but is answered 'moved' for who is at another by now.

local address, listener, node, most, nodes, api_key = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local again = ARGV[7] == 'again'
local places = NAME .. ':l:' .. address
local SECONDS_OF_PLACES = 3600 -- nodes say again what they hold well before that

-- The places of nodes that are gone are free.
local function free()
    local is_there = {[node] = true}
    local held = redis.call('HGETALL', places)
    for index = 1, #held, 2 do
        local holder = held[index + 1]
        if is_there[holder] == nil then
            is_there[holder] = redis.call('EXISTS', NAME .. ':n:' .. holder) == 1
        end
        if not is_there[holder] then
            redis.call('HDEL', places, held[index])
        end
    end
end

local holder = redis.call('HGET', places, listener)
if again then
    if holder and holder ~= node then
        return 'moved'
    end
elseif not holder and redis.call('HLEN', places) >= most then
    free()
    if redis.call('HLEN', places) >= most then
        return 'full'
    end
end
if holder ~= node then
    redis.call('HSET', places, listener, node)
    if holder then
        redis.call('PUBLISH', nodes .. holder, '!' .. cjson.encode({api_key, address, listener}))
    end
end
redis.call('EXPIRE', places, SECONDS_OF_PLACES)
return 'held'
