-- What is kept of some identifiers, each above some position; of none, it only tells the time of the account.
--
-- `told` is said with it.
--
-- Answers {position, {floor, secret_floor, {entry, ...}}, ...}, in the order asked. The position is told to the node over
-- its subscription as well: when it hears that, it has heard every push up to there.

local seen, pushed, node, told = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local keep_bytes = tonumber(ARGV[5])

local position, began = open(pushed, seen, 0)
drop(position - KEPT, keep_bytes)

-- The index of the first push above `since`.
local function first_above(pushes, since)
    local low, high = 0, redis.call('LLEN', pushes)
    while low < high do
        local middle = math.floor((low + high) / 2)
        if read_entry(redis.call('LINDEX', pushes, middle)) > since then
            high = middle
        else
            low = middle + 1
        end
    end
    return low
end

local answer = {digits(position)}
for index = 6, #ARGV, 2 do
    local identifier, since = ARGV[index], tonumber(ARGV[index + 1])
    local pushes, info = keys_of(identifier)
    if (tonumber(redis.call('HGET', info, 'bytes')) or 0) > 0 and redis.call('EXISTS', pushes) == 0 then
        settle(identifier)
    end
    local floors = redis.call('HMGET', info, 'floor', 'secret_floor')
    answer[#answer + 1] = {
        floors[1] or '0', floors[2] or '0', redis.call('LRANGE', pushes, first_above(pushes, since), -1),
    }
end
redis.call('PUBLISH', node, told .. ' ' .. digits(began) .. ' ' .. digits(position))
return answer
