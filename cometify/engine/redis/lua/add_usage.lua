-- Add the usage of accounts, as one node has counted it, to their hours and days.
--
-- KEYS[1] is no account here, but "cometify:usage", because one command serves many accounts.
--
--   cometify:usage:NODE   string  the number of the last batch of the node. A batch that is sent again changes nothing
--
-- ACCOUNT is the name of an account, as NAME is elsewhere. Hours and days are those of UTC, numbered from 1970 on.
--
--   ACCOUNT:usage:day:N   hash    the figures of the day N, by name; most_listeners; refused:CODE
--   ACCOUNT:usage:hour    hash    the same of one hour; hour: its number
--   ACCOUNT:usage:nodes   hash    for each node that has listeners, when it told that and how many: "SECONDS LISTENERS"
--
-- ARGV: the node and the number of the batch. Then for each account its name, its listeners on the node now and at most since
-- the last batch, the number of figures, and each figure's name and increase.
--
-- The most listeners at once of all nodes are those that the other nodes have told last, and the most of this node. An account
-- whose keys are broken is left out.

local node, number = ARGV[1], tonumber(ARGV[2])
local batch = NAME .. ':' .. node
local SECONDS_OF_BATCH, SECONDS_OF_DAY, SECONDS_OF_HOUR = 3600, 32 * 86400, 7200
local SILENCE = 20 -- seconds; nodes tell every five seconds
local SECONDS_OF_NODES = 60
local seconds = math.floor(clock / 1000000)

local function listeners_of_others(nodes)
    local told, count = redis.call('HGETALL', nodes), 0
    for index = 1, #told, 2 do
        local when, listeners = told[index + 1]:match('^(%d+) (%d+)$')
        if seconds - tonumber(when) > SILENCE then
            redis.call('HDEL', nodes, told[index])
        elseif told[index] ~= node then
            count = count + tonumber(listeners)
        end
    end
    return count
end

local function add_to(key, life, first, last, most)
    for index = first, last, 2 do
        redis.call('HINCRBY', key, ARGV[index], ARGV[index + 1])
    end
    if most > tonumber(redis.call('HGET', key, 'most_listeners') or 0) then
        redis.call('HSET', key, 'most_listeners', most)
    end
    redis.call('EXPIRE', key, life)
end

local function add(account, listeners, peak, first, last)
    local nodes, hour_key = account .. ':usage:nodes', account .. ':usage:hour'
    local most = peak + listeners_of_others(nodes)
    if listeners > 0 then
        redis.call('HSET', nodes, node, digits(seconds) .. ' ' .. listeners)
        redis.call('EXPIRE', nodes, SECONDS_OF_NODES)
    else
        redis.call('HDEL', nodes, node)
    end
    local hour = digits(math.floor(seconds / 3600))
    if redis.call('HGET', hour_key, 'hour') ~= hour then
        redis.call('DEL', hour_key)
        redis.call('HSET', hour_key, 'hour', hour)
    end
    add_to(hour_key, SECONDS_OF_HOUR, first, last, most)
    add_to(account .. ':usage:day:' .. digits(math.floor(seconds / 86400)), SECONDS_OF_DAY, first, last, most)
end

if number <= tonumber(redis.call('GET', batch) or 0) then
    return 0
end
redis.call('SET', batch, number, 'EX', SECONDS_OF_BATCH)
local at, added = 3, 0
while at < #ARGV do
    local last = at + 3 + 2 * tonumber(ARGV[at + 3])
    if pcall(add, ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), at + 4, last) then
        added = added + 1
    end
    at = last + 1
end
return added
