-- The names, limits and forms that all scripts share. `scripts.py` puts them before each script, with the functions of
-- common.lua that the script needs.
--
-- Lua makes the functions of a script in each run, and a local variable that a function uses costs as much as a function. So
-- `scripts.py` writes the values of constants in their places. A constant is a line `local NAME = VALUE` in capital letters
-- with numbers, other constants, or one string. Functions that few runs need are made within others, when they are needed.

local NAME = KEYS[1]
local STATE = NAME .. ':state'
local BYTE_OF_EXCEPT = 101 -- 'e': the first name in a head is "except", or "type"
local LAYOUT = 'layout 2'
local ANNOUNCE = 'PUBLISH' -- 'SPUBLISH' in a cluster: see `in_cluster` in scripts.py
local KEPT = 600 * 1000000 -- microseconds for which a push is kept
local RECENTLY = 600 -- seconds for which a signature, a nonce and an Idempotency-Key are remembered
local RECENTLY_MS = RECENTLY * 1000 - 1 -- Redis still has a key in its last millisecond
local SECONDS_OF_PUSHES = 720
local SECONDS_OF_FLOORS = 87120
local SECONDS_OF_ACCOUNT = 30 * 86400 -- without its state an account's memory would begin later, which is a gap
local SECONDS_OF_NODE = 20 -- a node that has read nothing of the account for so long is gone
local RENEWED_AFTER = 60 * 1000000 -- microseconds; renewing at each push would cost several commands
local MOST_FORGOTTEN = 4 -- floors in one push, which adds one at most
local MOST_DROPS = 1000 -- in one script, because a script stops everybody else
local MOST_UNCONFIRMED = 10000 -- pushes that wait for replicas
local MOST_PUBLISHED = 20000 -- pushes that one script publishes; above MOST_UNCONFIRMED

local time = redis.call('TIME')
local clock = time[1] * 1000000 + time[2]

-- The digits of a position. Exact up to 2^53, and ten times as fast as %.0f.
local function digits(number)
    return string.format('%d', number)
end

-- The keys of the kept pushes of one kind, and of the facts about an identifier.
local function keys_of(identifier, kind)
    return NAME .. ':' .. kind .. ':' .. identifier, NAME .. ':info:' .. identifier
end

-- Read a kept push. Returns its position and the bytes of its frame. The frame is the head, the position and a closing
-- brace. The listener that a push is not sent to is no part of the frame.
local function read_entry(entry)
    local position, head = entry:match('^(%d+) %d %S+ ()')
    local size = #entry - head + 1 + #position + 1
    if entry:byte(head + 2) == BYTE_OF_EXCEPT then
        size = size - #entry:match('^"except":"[^"]*",', head + 1)
    end
    return tonumber(position), size
end
