-- A page of the kept pushes of one identifier: the first ones above a position, public and secret ones in one order. Changes
-- nothing.
--
-- Answers {position, since, floor, unconfirmed, more, {push, ...}}
--   position     that of the account now
--   since        the position above which the page begins
--   floor        that of the last push that was dropped, of either kind; or the beginning of the memory, if that is later; above
--                all others if the memory has not begun
--   unconfirmed  that of the account's first push that waits for replicas, 0 if none does
--   more         1 if there are others behind these pushes

local identifier, since, last_known = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]) -- since: nil for ten minutes ago
local most, most_bytes = tonumber(ARGV[4]), tonumber(ARGV[5])
local CHUNK = 8 -- pushes of a kind that are read at once

local state = redis.call('HMGET', STATE, 'last', 'began', 'public_others', 'secret_others')
local last, floor = tonumber(state[1]) or 0, tonumber(state[2]) or 0
local position = math.max(clock, last)
if last == 0 or last_known > last then
    floor = 2 ^ 53 -- this Redis was emptied, or it has gone back in time, and whatever it had may be lost
end
since = since or position - KEPT

-- A cursor over the pushes of one kind. `entry` is the next one, nil at the end, with its `position` and `size`.
local function advance(cursor)
    cursor.index = cursor.index + 1
    if cursor.index > #cursor.entries then
        cursor.entries = redis.call('LRANGE', cursor.pushes, cursor.at, cursor.at + CHUNK - 1)
        cursor.at, cursor.index = cursor.at + #cursor.entries, 1
    end
    cursor.entry = cursor.entries[cursor.index]
    if cursor.entry then
        cursor.position, cursor.size = read_entry(cursor.entry)
    end
end

local function cursor_of(kind)
    local pushes = keys_of(identifier, kind)
    local cursor = {pushes = pushes, at = first_above(pushes, since), entries = {}, index = 0}
    advance(cursor)
    return cursor
end

for index, kind in ipairs({'public', 'secret'}) do
    local pushes, info = keys_of(identifier, kind)
    local known = redis.call('HMGET', info, kind .. '_floor', kind .. '_last')
    -- If all of them have expired then the last push is the last one dropped.
    local own = redis.call('EXISTS', pushes) == 1 and known[1] or known[2]
    floor = math.max(floor, tonumber(own or state[2 + index]) or 0)
end
local public, secret = cursor_of('public'), cursor_of('secret')

-- The cursor of the kind whose next push comes first, or nil if none is left.
local function first_of_both()
    if not public.entry or not secret.entry then
        return public.entry and public or secret.entry and secret or nil
    end
    return public.position < secret.position and public or secret
end

local found, bytes, following = {}, 0, first_of_both()
while following and #found < most and bytes < most_bytes do
    found[#found + 1], bytes = following.entry, bytes + following.size
    advance(following)
    following = first_of_both()
end
return {digits(position), digits(since), digits(floor), digits(first_unconfirmed() or 0), following and 1 or 0, found}
