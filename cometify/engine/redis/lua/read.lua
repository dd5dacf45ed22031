-- The kept pushes of some identifiers, each above some position. Without any identifier it tells the time of the account.
--
-- Answers {watermark, position, {revocation, version, ...}, {floor, secret_floor, {public push, ...}, {secret push, ...}}, ...},
-- the identifiers in the order asked. Once the answer has `most_bytes`, the other identifiers are left out. All pushes up to the
-- watermark are published, and no push above it is read. The watermark is the account's position, or lower if a push still waits
-- for replicas. The revocations are the first ones above the version that the node knows, at most `most_revoked` (see
-- disconnect.lua).
--
-- Secret pushes are read only for a node that asks for them, and dropped only in a beat. The time of other reads tells
-- nothing of them.
--
-- The script also publishes the watermark to the node that asks, with the node's `label`. This is the seam: the node hears
-- it on its subscription after every push up to the watermark, and before every push above it. If identifiers were left out
-- the watermark is no seam, and has the number 0.

local highest, last_known, node_channel, label = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local keep_bytes, node, last_known_name, last_heard = tonumber(ARGV[5]), ARGV[6], ARGV[7], tonumber(ARGV[8])
local last_known_kind, is_beat, known_revoked = ARGV[9], ARGV[10] == '1', ARGV[11]
local most_revoked, most_bytes = ARGV[12], tonumber(ARGV[13])
-- From ARGV[14] on, for each identifier: its name, and the positions above which its public and its secret pushes are read.
-- '-' for no secret pushes.

-- Whether the push at a position, which the node knows of, was never pushed here. False if that can no longer be told.
local function is_unknown(identifier, kind, position)
    local state = redis.call('HMGET', STATE, 'began', kind .. '_others')
    local began, others = tonumber(state[1]) or 0, tonumber(state[2]) or 0
    if position <= clock - 86400 * 1000000 or position <= began or position <= others then
        return false
    end
    local pushes, info = keys_of(identifier, kind)
    local known = redis.call('HMGET', info, kind .. '_floor', kind .. '_last')
    local dropped, last = tonumber(known[1]) or 0, tonumber(known[2]) or 0
    if position <= dropped or position == last or (position < last and redis.call('EXISTS', pushes) == 0) then
        return false
    end
    local entry = redis.call('LINDEX', pushes, first_above(pushes, position - 1))
    return not entry or read_entry(entry) ~= position
end

-- After a lost session the node names the identifier of the last push that it knows of. This Redis may have gone back in
-- time and have got later pushes since: then `last` is high enough, but that very push is missing.
if last_known_name ~= '' and is_unknown(last_known_name, last_known_kind, last_known) then
    last_known = math.huge
end
local state = read_state('secret_bytes', 'public_others', 'secret_others')
local position, began, bytes = open(state, last_known, highest, 0)
local changes = {'public_bytes', drop('public', position - KEPT, bytes.public, keep_bytes)}
if is_beat then
    changes[3], changes[4] = 'secret_bytes', drop('secret', position - KEPT, bytes.secret, keep_bytes)
end
close(position, changes)
redis.call('SET', NAME .. ':n:' .. node, 1, 'EX', SECONDS_OF_NODE)

local unconfirmed = first_unconfirmed()
if unconfirmed and unconfirmed <= last_heard then
    -- The node has heard it, so that it was published: a replica was promoted that had the push in its list, but not yet
    -- that it was taken off.
    publish_confirmed(last_heard)
    unconfirmed = first_unconfirmed()
end
local watermark = unconfirmed and unconfirmed - 1 or position

-- The pushes above `since` and up to the watermark.
local function read(pushes, since)
    local first, last = first_above(pushes, since), unconfirmed and first_above(pushes, watermark) or -1
    return last == 0 and {} or redis.call('LRANGE', pushes, first, unconfirmed and last - 1 or -1)
end

local revoked = redis.call('ZRANGEBYSCORE', NAME .. ':revoked', '(' .. known_revoked, '+inf', 'WITHSCORES', 'LIMIT', 0,
    most_revoked)
-- The bytes of some pushes.
local function size_of(pushes)
    local size = 0
    for _, entry in ipairs(pushes) do
        size = size + #entry
    end
    return size
end

local answer, size = {digits(watermark), digits(position), revoked}, 0
for index = 14, #ARGV, 3 do
    if size >= most_bytes then
        label = label:gsub('%d+$', '0')
        break
    end
    local identifier, since, secret_since = ARGV[index], tonumber(ARGV[index + 1]), tonumber(ARGV[index + 2])
    local pushes, info = keys_of(identifier, 'public')
    local secret_pushes = keys_of(identifier, 'secret')
    local known = redis.call('HMGET', info, 'public_floor', 'secret_floor', 'public_last', 'secret_last')
    -- If all of them have expired then the last push is the last one dropped.
    local floor = redis.call('EXISTS', pushes) == 1 and known[1] or known[3]
    local secret_floor = redis.call('EXISTS', secret_pushes) == 1 and known[2] or known[4]
    local secret_read = secret_since and read(secret_pushes, secret_since) or {}
    local public_read = read(pushes, since)
    size = size + size_of(public_read) + size_of(secret_read)
    answer[#answer + 1] = {
        floor or state[6] or '0', secret_floor or state[7] or '0', public_read, secret_read,
    }
end
redis.call(ANNOUNCE, node_channel, label .. ' ' .. began .. ' ' .. digits(watermark))
return answer
