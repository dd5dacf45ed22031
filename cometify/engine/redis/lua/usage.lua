-- The usage of an account, as add_usage.lua has kept it.
--
-- Answers {time, listeners, hour, day, ...}: the microseconds of now, the listeners of all nodes, the hash of this hour (empty if
-- nothing was counted in it), and the hashes of today and of the days before, as many days as ARGV[1] says. A hash is a list
-- of names and values.

local SILENCE = 20 -- seconds, as in add_usage.lua
local seconds = math.floor(clock / 1000000)
local listeners, hour = 0, redis.call('HGETALL', NAME .. ':usage:hour')
for _, told in ipairs(redis.call('HVALS', NAME .. ':usage:nodes')) do
    local when, count = told:match('^(%d+) (%d+)$')
    if seconds - tonumber(when) <= SILENCE then
        listeners = listeners + tonumber(count)
    end
end
if redis.call('HGET', NAME .. ':usage:hour', 'hour') ~= digits(math.floor(seconds / 3600)) then
    hour = {}
end
local today = math.floor(seconds / 86400)
local answer = {digits(clock), listeners, hour}
for day = today, today - tonumber(ARGV[1]) + 1, -1 do
    answer[#answer + 1] = redis.call('HGETALL', NAME .. ':usage:day:' .. digits(day))
end
return answer
