-- The identifiers that have kept pushes, in the order of their names.
--
-- Answers {last, name, pushes, bytes, position, name, ...}: for each identifier the number of its pushes, the bytes of their
-- frames, and the position of the newest one. `last` is the last name that was looked at if there may be others behind it,
-- else empty.

local lowest, highest, most = ARGV[1], ARGV[2], tonumber(ARGV[3]) -- the bounds as ZRANGEBYLEX takes them

local names = redis.call('ZRANGEBYLEX', NAME .. ':names', lowest, highest, 'LIMIT', 0, most)
local answer = {#names == most and names[#names] or ''}
for _, name in ipairs(names) do
    local count, bytes, newest = 0, 0, 0
    local known = redis.call('HMGET', NAME .. ':info:' .. name, 'public_bytes', 'public_last', 'secret_bytes', 'secret_last')
    for index, kind in ipairs({'public', 'secret'}) do
        local number = redis.call('LLEN', NAME .. ':' .. kind .. ':' .. name)
        if number > 0 then
            count, bytes = count + number, bytes + (tonumber(known[2 * index - 1]) or 0)
            newest = math.max(newest, tonumber(known[2 * index]) or 0)
        end
    end
    if count == 0 then -- all of them have expired
        redis.call('ZREM', NAME .. ':names', name)
    else
        for _, value in ipairs({name, digits(count), digits(bytes), digits(newest)}) do
            answer[#answer + 1] = value
        end
    end
end
return answer
