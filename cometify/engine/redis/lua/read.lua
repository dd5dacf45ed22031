-- What is kept of some identifiers, each above some position; of none, it only tells the time of the account.
--
-- `told` is said with it. `known`: the identifier of the push at `pushed`, after a loss of touch: a Redis that has not got
-- that push has gone back in time, although it has heard of later ones since. `heard`: up to where the node has heard.
--
-- Answers {mark, position, {floor, secret_floor, {entry, ...}}, ...}, in the order asked. Everything up to the mark is
-- published, and nothing above it is read; it is the position, unless something is not said yet. The mark is told to the
-- node over its subscription as well: when it hears that, it has heard every push up to there.

local seen, pushed, node, told = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local keep_bytes, node_id, known, heard = tonumber(ARGV[5]), ARGV[6], ARGV[7], tonumber(ARGV[8])

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

-- Whether the push that the node knows of was never pushed here, as far as can be told.
local function is_unknown(identifier, at)
    if at <= clock - 86400 * 1000000 or at <= (tonumber(redis.call('HGET', NAME, 'began')) or 0) then
        return false
    end
    local pushes, info = keys_of(identifier)
    local facts = redis.call('HMGET', info, 'floor', 'secret_floor', 'public', 'secret')
    local dropped = math.max(tonumber(facts[1]) or 0, tonumber(facts[2]) or 0)
    local last = math.max(tonumber(facts[3]) or 0, tonumber(facts[4]) or 0)
    if at <= dropped or at == last or (at < last and redis.call('EXISTS', pushes) == 0) then
        return false
    end
    local entry = redis.call('LINDEX', pushes, first_above(pushes, at - 1))
    return not entry or read_entry(entry) ~= at
end

if known ~= '' and is_unknown(known, pushed) then
    pushed = math.huge
end
local position, began, bytes = open(pushed, seen, 0)
close(position, drop(position - KEPT, bytes, keep_bytes))
redis.call('SET', NAME .. ':n:' .. node_id, 1, 'EX', SECONDS_OF_NODE)

-- The position of the first push that is not said yet, if there is one.
local function first_unsaid()
    return tonumber((redis.call('LINDEX', NAME .. ':unsaid', 0) or ''):match('^%S+ %d+ %d+ (%d+)'))
end

local unsaid = first_unsaid()
if unsaid and unsaid <= heard then -- it was said: a replica was promoted that had the push before it knew of that
    say(heard)
    unsaid = first_unsaid()
end
local mark = unsaid and unsaid - 1 or position

local function read(pushes, since)
    local first, last = first_above(pushes, since), unsaid and first_above(pushes, mark) or -1
    return last == 0 and {} or redis.call('LRANGE', pushes, first, unsaid and last - 1 or -1)
end

local answer = {digits(mark), digits(position)}
for index = 9, #ARGV, 2 do
    local identifier, since = ARGV[index], tonumber(ARGV[index + 1])
    local pushes, info = keys_of(identifier)
    local known = redis.call('HMGET', info, 'floor', 'secret_floor', 'public', 'secret')
    if redis.call('EXISTS', pushes) == 0 then -- they have expired: what was last is what was dropped last
        known[1], known[2] = known[3], known[4]
    end
    answer[#answer + 1] = {known[1] or '0', known[2] or '0', read(pushes, since)}
end
redis.call('PUBLISH', node, told .. ' ' .. digits(began) .. ' ' .. digits(mark))
return answer
