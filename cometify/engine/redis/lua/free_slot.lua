-- A listener has left this node: its place is free, unless it is at another node by now.

local address, listener, node = ARGV[1], ARGV[2], ARGV[3]
local places = NAME .. ':l:' .. address
if (redis.call('HGET', places, listener) or ''):match('^%S+') == node then
    redis.call('HDEL', places, listener)
end
