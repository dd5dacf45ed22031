-- Ask for the events that a node must send to an account's webhook. webhook_report.lua describes the keys.
--
-- One node sends at a time: the one that holds the lease, which each of its calls renews. Answers
-- {known, sends, waiting, dropped, id, age, body}: 1 if this Redis knows the node, 1 if the node sends, the number of events
-- that wait, the number that was dropped since the last call, and the batch with its id and its age in microseconds. The body
-- is empty if there is nothing to send.

local node, lives, sum_refusals = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local most_waiting, most_in_batch = tonumber(ARGV[4]), tonumber(ARGV[5])
local EVENTS = NAME .. ':e'
local QUEUE = EVENTS .. ':queue'
local SECONDS_OF_EVENTS = 86400
local COME_BACK = 30000000 -- microseconds within which the listeners of a node that has died come to another
local MOST_STEPS = 500 -- identifiers in one call, because a script stops everybody else

local known = redis.call('HEXISTS', EVENTS .. ':nodes', node)
if known == 1 then
    redis.call('HSET', EVENTS .. ':nodes', node, digits(clock + lives))
    redis.call('EXPIRE', EVENTS .. ':at:' .. node, SECONDS_OF_EVENTS) -- also of a node that never sends
end
local holder = redis.call('GET', EVENTS .. ':lease')
if holder and holder ~= node then
    return {known, 0, 0, 0, 0, 0, ''}
end
redis.call('SET', EVENTS .. ':lease', node, 'PX', math.floor(lives / 1000))

local last = tonumber(redis.call('HGET', EVENTS, 'last'))
local is_new = not last

local function add(kind, more)
    last = math.max(clock, (last or 0) + 1)
    local text = '{"type":"' .. kind .. '","id":' .. digits(last) .. ',"time":' .. digits(math.floor(last / 1000000)) .. more .. '}'
    redis.call('RPUSH', QUEUE, text)
end

if is_new then
    add('reset', '')
    -- Whatever is occupied now must be told again.
    redis.call('DEL', EVENTS .. ':told')
end

-- Take away the identifiers of nodes that are gone.
local steps = MOST_STEPS
local nodes = redis.call('HGETALL', EVENTS .. ':nodes')
for index = 1, #nodes, 2 do
    if tonumber(nodes[index + 1]) < clock and steps > 0 then
        local left = redis.call('SPOP', EVENTS .. ':at:' .. nodes[index], steps)
        for _, identifier in ipairs(left) do
            if redis.call('HINCRBY', EVENTS .. ':count', identifier, -1) < 1 then
                redis.call('HDEL', EVENTS .. ':count', identifier)
                redis.call('ZADD', EVENTS .. ':changed', digits(clock + COME_BACK), identifier)
            end
        end
        steps = steps - #left
        if steps > 0 then
            redis.call('HDEL', EVENTS .. ':nodes', nodes[index])
        end
    end
end

for _, identifier in ipairs(redis.call('ZRANGEBYSCORE', EVENTS .. ':changed', '-inf', digits(clock), 'LIMIT', 0, MOST_STEPS)) do
    redis.call('ZREM', EVENTS .. ':changed', identifier)
    if redis.call('HEXISTS', EVENTS .. ':count', identifier) == 1 then
        if redis.call('SADD', EVENTS .. ':told', identifier) == 1 then
            add('occupied', ',"identifier":"' .. identifier .. '"')
        end
    elseif redis.call('SREM', EVENTS .. ':told', identifier) == 1 then
        add('vacated', ',"identifier":"' .. identifier .. '"')
    end
end

local refused = redis.call('HGETALL', EVENTS .. ':refused')
if #refused > 0 and clock - (tonumber(redis.call('HGET', EVENTS, 'refused')) or 0) >= sum_refusals then
    local codes = {}
    for index = 1, #refused, 2 do
        table.insert(codes, '"' .. refused[index] .. '":' .. refused[index + 1])
    end
    table.sort(codes)
    add('refused', ',"codes":{' .. table.concat(codes, ',') .. '}')
    redis.call('DEL', EVENTS .. ':refused')
end

local too_many = redis.call('LLEN', QUEUE) - most_waiting
if too_many > 0 then
    local id = redis.call('LINDEX', QUEUE, too_many - 1):match('"id":(%d+)')
    redis.call('LTRIM', QUEUE, too_many, -1)
    redis.call('HINCRBY', EVENTS, 'dropped', too_many)
    redis.call('HINCRBY', EVENTS, 'lately', too_many)
    redis.call('HSET', EVENTS, 'dropped_id', id)
end

local function make_batch()
    local count = tonumber(redis.call('HGET', EVENTS, 'dropped')) or 0
    local events = {}
    if count > 0 then
        local id = redis.call('HGET', EVENTS, 'dropped_id')
        local seconds = digits(math.floor(tonumber(id) / 1000000))
        events[1] = '{"type":"dropped","id":' .. id .. ',"time":' .. seconds .. ',"count":' .. count .. '}'
        most_in_batch = most_in_batch - 1
    end
    for _, event in ipairs(redis.call('LRANGE', QUEUE, 0, most_in_batch - 1)) do
        table.insert(events, event)
        count = count + 1
    end
    if #events > 0 then
        redis.call('LTRIM', QUEUE, most_in_batch, -1)
        redis.call('HDEL', EVENTS, 'dropped', 'dropped_id')
        redis.call('HSET', EVENTS, 'batch', '[' .. table.concat(events, ',') .. ']', 'batch_id',
            events[#events]:match('"id":(%d+)'), 'batch_count', count, 'batch_made', digits(clock))
    end
end

if redis.call('HEXISTS', EVENTS, 'batch') == 0 then
    make_batch()
end
if last then
    redis.call('HSET', EVENTS, 'last', digits(last))
end
for _, part in ipairs({'', ':queue', ':nodes', ':count', ':changed', ':told', ':refused'}) do
    redis.call('EXPIRE', EVENTS .. part, SECONDS_OF_EVENTS)
end
local batch = redis.call('HMGET', EVENTS, 'lately', 'batch_id', 'batch_made', 'batch')
redis.call('HDEL', EVENTS, 'lately')
local age = batch[3] and clock - tonumber(batch[3]) or 0
return {known, 1, redis.call('LLEN', QUEUE), tonumber(batch[1]) or 0, tonumber(batch[2]) or 0, age, batch[4] or ''}
