-- Free the slots of listeners that have left this node, unless they are held at another node by now. Answers nothing.
--
-- After the node come an address and a listener id for each slot.

local node = ARGV[1]
local held = NAME .. ':h:' .. node
for at = 2, #ARGV, 2 do
    local address, listener = ARGV[at], ARGV[at + 1]
    local slots = NAME .. ':l:' .. address
    if (redis.call('HGET', slots, listener) or ''):match('^%S+') == node then
        redis.call('HDEL', slots, listener)
    end
    redis.call('SREM', held, address .. ' ' .. listener)
end
