-- A place for a listener among those of its address, counted over all nodes.
--
--   NAME:l:ADDRESS  hash    the node at which each listener of the address is, and since when: "NODE TIME"
--   NAME:n:NODE     string  there while the node is
--
-- Answers since when it is held, or 'full' if all places are taken. Who was at another node has moved: that one is told. A
-- node that only says again what it held (`since`) has a place for everybody, but is answered 'moved' for who has come to
-- another since. A Redis that has gone back in time may know an older place than the node: the newer one counts.

local address, listener, node, most, nodes, api_key = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local since = tonumber(ARGV[7]) -- nil for one that comes
local places = NAME .. ':l:' .. address
local SECONDS_OF_PLACES = 3600 -- nodes say again what they hold well before that

local function read_place(place)
    return (place or ''):match('^(%S+) (%d+)$')
end

-- The places of nodes that are gone are free.
local function free()
    local is_there = {[node] = true}
    local held = redis.call('HGETALL', places)
    for index = 1, #held, 2 do
        local holder = read_place(held[index + 1])
        if is_there[holder] == nil then
            is_there[holder] = redis.call('EXISTS', NAME .. ':n:' .. holder) == 1
        end
        if not is_there[holder] then
            redis.call('HDEL', places, held[index])
        end
    end
end

local holder, came = read_place(redis.call('HGET', places, listener))
came = tonumber(came) or 0
if since then
    if came > since and holder ~= node then
        return 'moved'
    end
elseif not holder and redis.call('HLEN', places) >= most then
    free()
    if redis.call('HLEN', places) >= most then
        return 'full'
    end
end
local time = digits(since and math.max(since, came) or math.max(clock, came + 1))
redis.call('HSET', places, listener, node .. ' ' .. time)
if holder and holder ~= node then
    redis.call('PUBLISH', nodes .. holder, '!' .. cjson.encode({api_key, address, listener, time}))
end
redis.call('EXPIRE', places, SECONDS_OF_PLACES)
redis.call('SET', NAME .. ':n:' .. node, 1, 'EX', SECONDS_OF_NODE)
return time
