-- One push, in one step: it is refused, or was pushed before, or is numbered, kept and published.
--
-- Answers {'behind'}, {'ok', position}, {'again', position, listeners}, {'mismatch'}, {'nonce'}, {'reused', spelling}.

local identifier, head, secret, push_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local seen, pushed = tonumber(ARGV[5]), tonumber(ARGV[6])
local most_pushes, most_bytes, keep_bytes = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local channel = ARGV[10]
local signature, spelled, signature_memory = ARGV[11], ARGV[12], tonumber(ARGV[13])
local key, fingerprint, listeners, nonce = ARGV[14], ARGV[15], ARGV[16], ARGV[17]
local waits = ARGV[18] == '1'

-- Was it pushed before?
if key ~= '' then
    local answered = redis.call('GET', NAME .. ':k:' .. key)
    if answered then
        local same, position, count = answered:match('^(%S+) (%d+) (%d+)$')
        if same ~= fingerprint then
            return {'mismatch'}
        end
        if waits then
            redis.call('HSET', NAME, 'again', position) -- something to wait for: what came before it has arrived then, too
        end
        return {'again', position, count}
    end
end

-- Replicas are away, and nobody is answered: more than can be said in one go must not gather.
if waits and redis.call('LLEN', NAME .. ':unsaid') >= MOST_UNSAID then
    return {'behind'}
end

-- Was its nonce seen, or its signature accepted for another identifier?
if nonce ~= '' and not redis.call('SET', NAME .. ':once:' .. nonce, 1, 'NX', 'PX', RECENTLY_MS) then
    return {'nonce'}
end

if signature ~= '' then
    local signatures, signed = NAME .. ':s', NAME .. ':signed'
    local when, used_for = (redis.call('HGET', signatures, signature) or ''):match('^(%d+) (.*)$')
    if not when or tonumber(when) <= clock - RECENTLY * 1000000 then
        redis.call('HSET', signatures, signature, digits(clock) .. ' ' .. spelled)
        local count = redis.call('RPUSH', signed, digits(clock) .. ' ' .. signature)
        for _ = 1, MOST_DROPS do
            local oldest, which = redis.call('LINDEX', signed, 0):match('^(%d+) (.*)$')
            if count <= signature_memory and tonumber(oldest) > clock - RECENTLY * 1000000 then
                break
            end
            redis.call('LPOP', signed)
            count = count - 1
            local used = redis.call('HGET', signatures, which)
            if used and used:match('^%d+') == oldest then -- else it was used again since
                redis.call('HDEL', signatures, which)
            end
        end
        if count <= 1 then
            redis.call('EXPIRE', signatures, RECENTLY + 120)
            redis.call('EXPIRE', signed, RECENTLY + 120)
        end
    elseif used_for:lower() ~= identifier then
        return {'reused', used_for}
    end
end

-- Number it.
local position, began, kept = open(pushed, seen + 1, 1)

-- Keep it.
local pushes, info = keys_of(identifier)
local known = redis.call('HMGET', info, 'public', 'secret', 'bytes', 'floor', 'secret_floor', 'renewed')
local public, private, bytes = tonumber(known[1]) or 0, tonumber(known[2]) or 0, tonumber(known[3]) or 0
local floor, secret_floor = tonumber(known[4]) or 0, tonumber(known[5]) or 0
local before = math.max(public, private)
local entry = digits(position) .. ' ' .. secret .. ' ' .. push_id .. ' ' .. head
local _, is_secret, size = read_entry(entry)
local count = redis.call('RPUSH', pushes, entry)
if count == 1 then -- what was kept before, if anything, has expired
    floor, secret_floor, kept, bytes = math.max(floor, public), math.max(secret_floor, private), kept - bytes, 0
end
if is_secret then
    private = position
else
    public = position
end
bytes, kept = bytes + size, kept + size
local oldest = count == 1 and position or nil
while count > most_pushes or (bytes > most_bytes and count > 0) do
    local at, was_secret, freed = read_entry(redis.call('LPOP', pushes))
    if was_secret then
        secret_floor = at
    else
        floor = at
    end
    count, bytes, kept = count - 1, bytes - freed, kept - freed
    local following = redis.call('LINDEX', pushes, 0)
    oldest = following and read_entry(following) or false
end
redis.call(
    'HSET', info, 'public', digits(public), 'secret', digits(private), 'bytes', bytes,
    'floor', digits(floor), 'secret_floor', digits(secret_floor)
)
if oldest then
    if redis.call('ZADD', NAME .. ':oldest', digits(oldest), identifier) == 1 then
        redis.call('EXPIRE', NAME .. ':oldest', SECONDS_OF_FLOORS)
    end
elseif oldest == false then
    redis.call('ZREM', NAME .. ':oldest', identifier)
end
if count <= 1 or clock - (tonumber(known[6]) or 0) > RENEWED_AFTER then
    redis.call('HSET', info, 'renewed', digits(clock))
    redis.call('EXPIRE', pushes, SECONDS_OF_PUSHES)
    redis.call('EXPIRE', info, SECONDS_OF_FLOORS)
end
close(position, drop(position - KEPT, kept, keep_bytes))
if key ~= '' then
    redis.call('SET', NAME .. ':k:' .. key, fingerprint .. ' ' .. digits(position) .. ' ' .. listeners, 'PX', RECENTLY_MS)
end

-- Tell all nodes that follow the channel: with what was before it, by which a node knows that it has missed nothing.
local text = digits(began) .. ' ' .. digits(before) .. ' ' .. entry
if waits then
    redis.call('RPUSH', NAME .. ':unsaid', channel .. ' ' .. text)
    redis.call('EXPIRE', NAME .. ':unsaid', SECONDS_OF_PUSHES)
else
    say(position)
    redis.call('PUBLISH', channel, text)
end
return {'ok', digits(position)}
