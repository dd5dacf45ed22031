-- Free the slot of a listener that has left this node, unless it is held at another node by now. Answers nothing.

local address, listener, node = ARGV[1], ARGV[2], ARGV[3]
local slots = NAME .. ':l:' .. address
if (redis.call('HGET', slots, listener) or ''):match('^%S+') == node then
    redis.call('HDEL', slots, listener)
end
redis.call('SREM', NAME .. ':h:' .. node, address .. ' ' .. listener)
