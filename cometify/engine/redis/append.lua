-- One push, in one step: it is refused, or was pushed before, or is numbered, kept and published.
--
-- Answers {'ok', position}, {'again', position, listeners}, {'mismatch'}, {'nonce'}, {'reused', spelling}.

local identifier, head, secret, push_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local seen, pushed = tonumber(ARGV[5]), tonumber(ARGV[6])
local most_pushes, most_bytes, keep_bytes = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local channel = ARGV[10]
local signature, spelled, signature_memory = ARGV[11], ARGV[12], tonumber(ARGV[13])
local key, fingerprint, listeners, nonce = ARGV[14], ARGV[15], ARGV[16], ARGV[17]

local RECENTLY = 600 -- seconds

-- Was it pushed before?
if key ~= '' then
    local answered = redis.call('GET', NAME .. ':k:' .. key)
    if answered then
        local same, position, count = answered:match('^(%S+) (%d+) (%d+)$')
        if same ~= fingerprint then
            return {'mismatch'}
        end
        return {'again', position, count}
    end
end

-- Was its nonce seen, or its signature accepted for another identifier?
if nonce ~= '' and not redis.call('SET', NAME .. ':n:' .. nonce, 1, 'NX', 'EX', RECENTLY) then
    return {'nonce'}
end

local signatures, signed = NAME .. ':s', NAME .. ':signed'

local function forget_signatures(most)
    for _ = 1, MOST_DROPS do
        local first = redis.call('LINDEX', signed, 0)
        if not first then
            return
        end
        local when, which = first:match('^(%d+) (.*)$')
        if tonumber(when) > clock - RECENTLY * 1000000 and redis.call('LLEN', signed) <= most then
            return
        end
        redis.call('LPOP', signed)
        local used = redis.call('HGET', signatures, which)
        if used and used:match('^%d+') == when then
            redis.call('HDEL', signatures, which)
        end
    end
end

if signature ~= '' and signature_memory > 0 then
    forget_signatures(signature_memory)
    local when, used_for = (redis.call('HGET', signatures, signature) or ''):match('^(%d+) (.*)$')
    if not when or tonumber(when) <= clock - RECENTLY * 1000000 then
        forget_signatures(signature_memory - 1)
        redis.call('HSET', signatures, signature, digits(clock) .. ' ' .. spelled)
        redis.call('RPUSH', signed, digits(clock) .. ' ' .. signature)
        redis.call('EXPIRE', signatures, RECENTLY)
        redis.call('EXPIRE', signed, RECENTLY)
    elseif used_for:lower() ~= identifier then
        return {'reused', used_for}
    end
end

-- Number it.
local position, began = open(pushed, seen + 1, 1)

-- Keep it.
local pushes, info = keys_of(identifier)
local known = redis.call('HMGET', info, 'public', 'secret', 'bytes')
local before = math.max(tonumber(known[1]) or 0, tonumber(known[2]) or 0)
local bytes = tonumber(known[3]) or 0
if bytes > 0 and redis.call('EXISTS', pushes) == 0 then
    settle(identifier)
    bytes = 0
end
local entry = digits(position) .. ' ' .. secret .. ' ' .. push_id .. ' ' .. head
local _, _, size = read_entry(entry)
local count = redis.call('RPUSH', pushes, entry)
bytes = bytes + size
redis.call('HSET', info, secret == '1' and 'secret' or 'public', digits(position), 'bytes', bytes)
redis.call('HINCRBY', NAME, 'bytes', size)
if count == 1 then
    redis.call('ZADD', NAME .. ':oldest', digits(position), identifier)
end
while count > most_pushes or (bytes > most_bytes and count > 0) do
    drop_oldest(identifier)
    count = count - 1
    bytes = tonumber(redis.call('HGET', info, 'bytes'))
end
drop(position - KEPT, keep_bytes)
redis.call('EXPIRE', pushes, SECONDS_OF_PUSHES)
redis.call('EXPIRE', NAME .. ':oldest', SECONDS_OF_PUSHES)
redis.call('EXPIRE', info, SECONDS_OF_FLOORS)
if key ~= '' then
    redis.call('SET', NAME .. ':k:' .. key, fingerprint .. ' ' .. digits(position) .. ' ' .. listeners, 'EX', RECENTLY)
end

-- Tell all nodes that follow the channel: with what was before it, by which a node knows that it has missed nothing.
redis.call('PUBLISH', channel, digits(began) .. ' ' .. digits(before) .. ' ' .. entry)
return {'ok', digits(position)}
