-- A page of the kept pushes of one identifier: the first ones above a position, of each kind. Changes nothing.
--
-- Answers {position, since, floor, unconfirmed, {public push, ...}, more, {secret push, ...}, more}
--   position     that of the account now
--   since        the position above which the page begins
--   floor        that of the last push that was dropped, of either kind; or the beginning of the memory, if that is later; above
--                all others if the memory has not begun
--   unconfirmed  that of the account's first push that waits for replicas, 0 if none does
--   more         1 if there are other pushes of the kind behind those

local identifier, since, last_known = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]) -- since: nil for ten minutes ago
local most, most_bytes = tonumber(ARGV[4]), tonumber(ARGV[5])
local CHUNK = 8 -- pushes that are read before their bytes are counted

local state = redis.call('HMGET', STATE, 'last', 'began')
local last, floor = tonumber(state[1]) or 0, tonumber(state[2]) or 0
local position = math.max(clock, last)
if last == 0 or last_known > last then
    floor = 2 ^ 53 -- this Redis was emptied, or it has gone back in time, and whatever it had may be lost
end
since = since or position - KEPT

local function read(kind)
    local pushes = keys_of(identifier, kind)
    local at, bytes, found = first_above(pushes, since), 0, {}
    while #found < most and bytes < most_bytes do
        local entries = redis.call('LRANGE', pushes, at, at + math.min(CHUNK, most - #found) - 1)
        if #entries == 0 then
            return found, 0
        end
        for _, entry in ipairs(entries) do
            local _, size = read_entry(entry)
            bytes = bytes + size
            found[#found + 1] = entry
        end
        at = at + #entries
    end
    return found, redis.call('LLEN', pushes) > at and 1 or 0
end

for _, kind in ipairs({'public', 'secret'}) do
    local pushes, info = keys_of(identifier, kind)
    local known = redis.call('HMGET', info, kind .. '_floor', kind .. '_last')
    -- If all of them have expired then the last push is the last one dropped.
    floor = math.max(floor, tonumber(redis.call('EXISTS', pushes) == 1 and known[1] or known[2]) or 0)
end
local public, more_public = read('public')
local secret, more_secret = read('secret')
return {digits(position), digits(since), digits(floor), digits(first_unconfirmed() or 0), public, more_public, secret,
    more_secret}
