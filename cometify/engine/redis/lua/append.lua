-- One push. It is refused, or recognised as pushed before, or numbered, kept and published.
--
-- Answers one of
--   {'ok', position}                    it is pushed
--   {'again', position, listeners}      the same Idempotency-Key was used for the same push: the answer given then
--   {'mismatch'}                        the same Idempotency-Key was used for another push
--   {'behind'}                          too many pushes wait for replicas
--   {'wait', microseconds}              the account has pushed too much, and may push again after that time
--   {'nonce'}                           the nonce was used before
--   {'full', microseconds}              as many nonces or keys are remembered as may be, and there is room after that time
--   {'reused', identifier}              the signature was accepted for another identifier, spelled like this

local identifier, head, secret, push_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
-- The highest position that the node knows by any means, and that of the last push that it knows of.
local highest, last_known = tonumber(ARGV[5]), tonumber(ARGV[6])
local most_pushes, most_bytes, keep_bytes = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local channel = ARGV[10]
local signature, spelled, signature_memory = ARGV[11], ARGV[12], tonumber(ARGV[13])
local key, fingerprint, listeners, nonce = ARGV[14], ARGV[15], ARGV[16], ARGV[17]
local waits_for_replicas = ARGV[18] == '1'
-- The limit of the account, 0 if it has none, and the pushes that this one counts for: 0 for a later one of a batch.
local pushes_per_second, push_burst, cost = tonumber(ARGV[19]), tonumber(ARGV[20]), tonumber(ARGV[21])
-- The most nonces that are remembered, and the most keys.
local request_memory = tonumber(ARGV[22])
-- The most identifiers that have a floor of their own.
local most_floors = tonumber(ARGV[23])

-- Was it pushed before? This comes first, so that a request can be sent again exactly as it was.
if key ~= '' then
    local answered = redis.call('GET', NAME .. ':k:' .. key)
    if answered then
        local same, position, count = answered:match('^(%S+) (%d+) (%d+)$')
        if same ~= fingerprint then
            return {'mismatch'}
        end
        if waits_for_replicas then
            -- WAIT covers the writes before it on the same connection, so there must be one.
            redis.call('HSET', STATE, 'again', position)
        end
        return {'again', position, count}
    end
    -- The first push of a batch needs room for all of it, and the later ones cost nothing.
    local full = cost > 0 and room_for(NAME .. ':keyed', cost, request_memory)
    if full then
        return full
    end
end

-- The replicas do not answer. The list must not grow beyond what one script can publish.
if waits_for_replicas and redis.call('LLEN', NAME .. ':unsaid') >= MOST_UNCONFIRMED then
    return {'behind'}
end

-- May the account push now? This is the leaky bucket of core/leaky_bucket.py. The push is charged only when nothing else
-- refuses it, because a captured request could use up the rate otherwise.
local level
if pushes_per_second > 0 and cost > 0 then
    local bucket = redis.call('HMGET', STATE, 'level', 'leaked')
    local past = math.max(0, clock - (tonumber(bucket[2]) or 0))
    level = math.max(0, (tonumber(bucket[1]) or 0) - past * pushes_per_second) + cost * 1000000
    local too_high = level - push_burst * 1000000
    if too_high > 0 then
        return {'wait', digits(math.ceil(too_high / pushes_per_second))}
    end
end

if nonce ~= '' then
    local refused = use_nonce(nonce, request_memory)
    if refused then
        return refused
    end
end

-- Was the signature accepted for another identifier? If it is new, remember it and forget the oldest ones.
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
            if used and used:match('^%d+') == oldest then -- else it was accepted again later
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

if level then
    redis.call('HSET', STATE, 'level', digits(level), 'leaked', digits(clock))
end

-- Number it.
local position, began, kept_bytes, others = open(last_known, highest + 1, 1)

-- Keep it, and drop the oldest pushes of the identifier and the kind beyond their limits.
local kind, other = 'public', 'secret'
if secret == '1' then
    kind, other = other, kind
end
local pushes, info = keys_of(identifier, kind)
local last_field, floor_field = kind .. '_last', kind .. '_floor'
local bytes_field, renewed_field = kind .. '_bytes', kind .. '_renewed'
local known = redis.call('HMGET', info, last_field, other .. '_last', floor_field, bytes_field, renewed_field)
local last, floor, bytes = tonumber(known[1]) or 0, tonumber(known[3]) or others[kind], tonumber(known[4]) or 0
local kept = kept_bytes[kind]
local before = math.max(last, tonumber(known[2]) or 0)
local entry = digits(position) .. ' ' .. secret .. ' ' .. push_id .. ' ' .. head
local _, size = read_entry(entry)
local count = redis.call('RPUSH', pushes, entry)
local is_first = count == 1
if is_first then -- the pushes before it, if there were any, have expired
    floor, kept, bytes = math.max(floor, last), kept - bytes, 0
end
bytes, kept = bytes + size, kept + size
local oldest = count == 1 and position or nil -- nil: unchanged; false: nothing is left
while count > most_pushes or (bytes > most_bytes and count > 0) do
    local at, freed = read_entry(redis.call('LPOP', pushes))
    floor, count, bytes, kept = at, count - 1, bytes - freed, kept - freed
    local next_entry = redis.call('LINDEX', pushes, 0)
    oldest = next_entry and read_entry(next_entry) or false
end
redis.call('HSET', info, last_field, digits(position), bytes_field, bytes, floor_field, digits(floor))
local oldest_key = NAME .. ':oldest:' .. kind
if oldest then
    if redis.call('ZADD', oldest_key, digits(oldest), identifier) == 1 then
        redis.call('EXPIRE', oldest_key, SECONDS_OF_FLOORS)
    end
elseif oldest == false then
    redis.call('ZREM', oldest_key, identifier)
    forget_name(identifier)
end
if count <= 1 or clock - (tonumber(known[5]) or 0) > RENEWED_AFTER then
    redis.call('HSET', info, renewed_field, digits(clock))
    redis.call('EXPIRE', pushes, SECONDS_OF_PUSHES)
    redis.call('EXPIRE', info, SECONDS_OF_FLOORS)
    -- Not at the first push alone, because a node of an older version does not write the name of an identifier.
    if count > 0 and redis.call('ZADD', NAME .. ':names', 0, identifier) == 1 then
        redis.call('EXPIRE', NAME .. ':names', SECONDS_OF_FLOORS)
    end
    note_floor(identifier, kind, most_floors, others[kind])
end
close(position, kind, drop(kind, position - KEPT, kept, keep_bytes))
if key ~= '' then
    redis.call('SET', NAME .. ':k:' .. key, fingerprint .. ' ' .. digits(position) .. ' ' .. listeners, 'PX', RECENTLY_MS)
    note_in(NAME .. ':keyed')
end

-- Publish it to all nodes that follow the channel. The text begins with the beginning of the memory, and with the
-- position of the push before it on this identifier, by which a node notices that it has missed one.
local text = digits(began) .. ' ' .. digits(before) .. ' ' .. entry
if waits_for_replicas then
    redis.call('RPUSH', NAME .. ':unsaid', channel .. ' ' .. text)
    redis.call('EXPIRE', NAME .. ':unsaid', SECONDS_OF_PUSHES)
else
    -- Nodes with and without redis_wait can share a Redis for a while. The order of positions must hold all the same.
    publish_confirmed(position)
    redis.call('PUBLISH', channel, text)
end
return {'ok', digits(position)}
