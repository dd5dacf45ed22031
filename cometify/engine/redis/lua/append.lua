-- Some pushes of one account, one after the other. Each is refused, or recognised as pushed before, or numbered, kept and
-- published. A push gets the answer that it would get alone, and one that is refused changes nothing for the others.
--
-- Commands cost the most, so what several pushes need is read and written once: the state of the account at the beginning and at
-- the end, the list and the facts of an identifier once for all of its pushes, and the signatures once for all of them.
--
-- Answers for each push one of
--   position                            a number: it is pushed
--   {'again', position, listeners}      the same Idempotency-Key was used for the same push: the answer given then
--   {'mismatch'}                        the same Idempotency-Key was used for another push
--   {'behind'}                          too many pushes wait for replicas
--   {'wait', microseconds}              the account has pushed too much, and may push again after that time
--   {'nonce'}                           the nonce was used before
--   {'full', microseconds}              as many nonces or keys are remembered as may be, and there is room after that time
--   {'reused', identifier}              the signature was accepted for another identifier, spelled like this
--   {'error', words}                    its keys have values that no script can read
--
-- A node publishes several pushes of an identifier in one message only if all nodes can read it: "*BEGAN BEFORE PUSH\nPUSH…". The
-- text of a single push is "BEGAN BEFORE PUSH". BEGAN is the beginning of the memory, and BEFORE the position of the push
-- before the first one on this identifier, by which a node notices that it has missed one. PUSH stands in the message as in
-- the list of the identifier, and has no line break, because it is JSON without spaces between its parts.

-- The highest position that the node knows by any means, and that of the last push that it knows of.
local highest, last_known = tonumber(ARGV[1]), tonumber(ARGV[2])
local most_pushes, most_bytes, keep_bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local channels = ARGV[6] -- the beginning of the names of all channels
local signature_memory = tonumber(ARGV[7])
local waits_for_replicas = ARGV[8] == '1'
-- The limit of the account, 0 if it has none.
local pushes_per_second, push_burst = tonumber(ARGV[9]), tonumber(ARGV[10])
-- The most nonces that are remembered, and the most keys.
local request_memory = tonumber(ARGV[11])
-- The most identifiers that have a floor of their own.
local most_floors = tonumber(ARGV[12])
-- From ARGV[13] on, for each push: its identifier, "SECRET PUSH_ID HEAD", and a letter for each argument that follows.
--   c  the pushes that this one counts for in the rate: 1 without it, and 0 for a later one of a batch
--   i  the identifier as it was signed, if that is another spelling
--   k  the Idempotency-Key
--   f  the fingerprint of all that must be the same if the push comes again with the same key
--   l  the number of listeners that is answered, and answered again with the same key
--   n  the nonce
--   s  the signature
local FIRST = 13
local SECRET = ('1'):byte()
local KINDS = {'public', 'secret'}

-- The answer to a push that fails by a problem, as `pcall` and `redis.pcall` return it.
local function failed(problem)
    local words = type(problem) == 'table' and problem.err or tostring(problem)
    return {'error', words:find('^%u+ ') and words or 'ERR ' .. words}
end

-- Give the pushes that have no answer yet that of a problem.
local function fail(concerned, problem)
    for _, push in ipairs(concerned) do
        push.answer = push.answer or failed(problem)
    end
end

-- Read the arguments. All fields that most pushes need are made at once, because a table that grows is copied.
local pushes, signed, signatures = {}, {}, {}
local at, last = FIRST, #ARGV
while at < last do
    local push = {identifier = ARGV[at], tail = ARGV[at + 1], signature = false, cost = 1, answer = false, position = false,
        entry = false, group = false}
    local letters = ARGV[at + 2]
    at = at + 3
    for index = 1, #letters do
        local letter, value = letters:sub(index, index), ARGV[at]
        at = at + 1
        if letter == 's' then
            push.signature = value
            signed[#signed + 1], signatures[#signatures + 1] = push, value
        elseif letter == 'i' then
            push.spelled = value
        elseif letter == 'n' then
            push.nonce = value
        elseif letter == 'k' then
            push.key = value
        elseif letter == 'f' then
            push.fingerprint = value
        elseif letter == 'l' then
            push.listeners = value
        else
            push.cost = tonumber(value)
        end
    end
    pushes[#pushes + 1] = push
end

-- The identifier of each signature that is remembered, or accepted by this script; and the pushes with new ones.
local used_for, newly_signed = {}, {}
if signed[1] then
    local remembered = redis.pcall('HMGET', NAME .. ':s', unpack(signatures))
    if remembered.err then
        fail(signed, remembered)
    else
        for index, found in ipairs(remembered) do
            local when, spelled = (found or ''):match('^(%d+) (.*)$')
            if when and tonumber(when) > clock - RECENTLY * 1000000 then
                used_for[signatures[index]] = spelled
            end
        end
    end
end

-- The pushes that are accepted, in their order, with positions one above the other.
local accepted = {}
local state, position, began, kept_bytes, others, level, unconfirmed
-- What this script has accepted and not written down yet: the pushes with a key, by their keys, and the numbers of both.
local keyed, new_keys, new_nonces = {}, 0, 0

-- The answer to a push whose key was used before, or nil.
local function answer_again(push)
    local first = keyed[push.key]
    if first then
        push.first = first
        return first.fingerprint == push.fingerprint and {'again', digits(first.position), first.listeners} or {'mismatch'}
    end
    local answered = redis.call('GET', NAME .. ':k:' .. push.key)
    if answered then
        local fingerprint, pushed_at, listeners = answered:match('^(%S+) (%d+) (%d+)$')
        return fingerprint == push.fingerprint and {'again', pushed_at, listeners} or {'mismatch'}
    end
end

-- Decide on a push: refuse it, recognise it, or give it a position. Returns its answer, or false if it is accepted.
local function decide(push)
    -- This comes first, so that a request can be sent again exactly as it was.
    if push.key then
        -- The first push of a batch needs room for all of it, and the later ones cost nothing.
        local answer = answer_again(push)
            or (push.cost > 0 and room_for(NAME .. ':keyed', push.cost, request_memory, new_keys))
        if answer then
            return answer
        end
    end
    -- The replicas do not answer. The list must not grow beyond what one script can publish.
    if waits_for_replicas then
        unconfirmed = unconfirmed or redis.call('LLEN', NAME .. ':unsaid')
        if unconfirmed + #accepted >= MOST_UNCONFIRMED then
            return {'behind'}
        end
    end
    state = state or read_state()
    -- May the account push now? This is the leaky bucket of core/leaky_bucket.py. The push is charged only when nothing else
    -- refuses it, because a captured request could use up the rate otherwise.
    local new_level = level
    if pushes_per_second > 0 and push.cost > 0 then
        local past = math.max(0, clock - (tonumber(state[9]) or 0))
        new_level = (level or math.max(0, (tonumber(state[8]) or 0) - past * pushes_per_second)) + push.cost * 1000000
        local too_high = new_level - push_burst * 1000000
        if too_high > 0 then
            return {'wait', digits(math.ceil(too_high / pushes_per_second))}
        end
    end
    if push.nonce then
        local refused = use_nonce(push.nonce, request_memory, new_nonces)
        if refused then
            return refused
        end
        new_nonces = new_nonces + 1
    end
    -- Was the signature accepted for another identifier?
    if push.signature then
        local spelled = used_for[push.signature]
        if not spelled then
            used_for[push.signature] = push.spelled or push.identifier
            newly_signed[#newly_signed + 1] = push
        elseif spelled:lower() ~= push.identifier then
            return {'reused', spelled}
        end
    end
    if position then
        position = position + 1
    else
        position, began, kept_bytes, others = open(state, last_known, highest + 1, 1)
    end
    level = new_level
    if push.key then
        keyed[push.key], new_keys = push, new_keys + 1
    end
    push.position = position
    accepted[#accepted + 1] = push
    return false
end

-- Decide on all pushes in their order, up to one that fails.
local decided = 0
local function decide_all()
    while decided < #pushes do
        decided = decided + 1
        local push = pushes[decided]
        push.answer = push.answer or decide(push)
    end
end
while decided < #pushes do
    local is_done, problem = pcall(decide_all)
    if not is_done then
        pushes[decided].answer = failed(problem)
    end
end

if new_nonces > 0 then
    note_in(NAME .. ':nonces', new_nonces)
end

-- Remember the new signatures, and forget those that are too old, and the oldest ones above the limit.
local function remember_signatures()
    local remembered, book, values, entries = NAME .. ':s', NAME .. ':signed', {}, {}
    local now = digits(clock) .. ' '
    for index, push in ipairs(newly_signed) do
        values[2 * index - 1], values[2 * index] = push.signature, now .. (push.spelled or push.identifier)
        entries[index] = now .. push.signature
    end
    redis.call('HSET', remembered, unpack(values))
    local count = redis.call('RPUSH', book, unpack(entries))
    local oldest = redis.call('LINDEX', book, 0):match('^%d+')
    if count > signature_memory or tonumber(oldest) <= clock - RECENTLY * 1000000 then
        local names, times, old = {}, {}, {}
        local most = math.min(MOST_DROPS, math.max(0, count - signature_memory) + 2 * #entries)
        for index, entry in ipairs(redis.call('LRANGE', book, 0, most - 1)) do
            local when, signature = entry:match('^(%d+) (.*)$')
            if count - index < signature_memory and tonumber(when) > clock - RECENTLY * 1000000 then
                break
            end
            times[index], names[index] = when, signature
        end
        redis.call('LPOP', book, #names)
        for index, found in ipairs(redis.call('HMGET', remembered, unpack(names))) do
            if found and found:match('^%d+') == times[index] then -- else it was accepted again later
                old[#old + 1] = names[index]
            end
        end
        if old[1] then
            redis.call('HDEL', remembered, unpack(old))
        end
        count = count - #names
    end
    if count <= #entries then
        redis.call('EXPIRE', remembered, RECENTLY + 120) -- `open` renews it
        redis.call('EXPIRE', book, RECENTLY + 120)
    end
end
if newly_signed[1] then
    local is_done, problem = pcall(remember_signatures)
    if not is_done then
        fail(newly_signed, problem)
    end
end

-- Keep the pushes of one identifier and one kind, and drop the oldest ones beyond the limits of both. `group`: see below.
local function keep(group, kind)
    local identifier, of_kind, other = group.identifier, group[kind], kind == 'public' and 'secret' or 'public'
    local list, info = keys_of(identifier, kind)
    local last_field, floor_field = kind .. '_last', kind .. '_floor'
    local bytes_field, renewed_field = kind .. '_bytes', kind .. '_renewed'
    local known = redis.call('HMGET', info, last_field, other .. '_last', floor_field, bytes_field, renewed_field)
    local last, floor, bytes = tonumber(known[1]) or 0, tonumber(known[3]) or others[kind], tonumber(known[4]) or 0
    group.before = group.before or math.max(last, tonumber(known[2]) or 0)
    local count, kept = redis.call('RPUSH', list, unpack(of_kind)), kept_bytes[kind]
    local is_first = count == #of_kind
    if is_first then -- the pushes before it, if there were any, have expired
        floor, kept, bytes = math.max(floor, last), kept - bytes, 0
    end
    bytes, kept = bytes + of_kind.size, kept + of_kind.size
    local oldest = is_first and of_kind.first or nil -- nil: unchanged; false: nothing is left
    while count > most_pushes or (bytes > most_bytes and count > 0) do
        local dropped = redis.call('LPOP', list, math.min(math.max(count - most_pushes, 1), MOST_DROPS))
        for _, entry in ipairs(dropped) do
            local freed
            floor, freed = read_entry(entry)
            bytes, kept = bytes - freed, kept - freed
        end
        count = count - #dropped
        local next_entry = redis.call('LINDEX', list, 0)
        oldest = next_entry and read_entry(next_entry) or false
    end
    local is_renewed = is_first or count <= 1 or clock - (tonumber(known[5]) or 0) > RENEWED_AFTER
    if is_renewed then
        redis.call('HSET', info, last_field, digits(of_kind.last), bytes_field, bytes, floor_field, digits(floor),
            renewed_field, digits(clock))
    else
        redis.call('HSET', info, last_field, digits(of_kind.last), bytes_field, bytes, floor_field, digits(floor))
    end
    of_kind.is_noted, kept_bytes[kind] = true, kept
    if is_renewed then
        redis.call('EXPIRE', list, SECONDS_OF_PUSHES)
        redis.call('EXPIRE', info, SECONDS_OF_FLOORS)
    end
    local oldest_key = NAME .. ':oldest:' .. kind
    if oldest then
        if redis.call('ZADD', oldest_key, digits(oldest), identifier) == 1 then
            redis.call('EXPIRE', oldest_key, SECONDS_OF_FLOORS)
        end
    elseif oldest == false then
        redis.call('ZREM', oldest_key, identifier)
        forget_name(identifier)
    end
    if is_renewed then
        -- Not at the first push alone, because a node of an older version does not write the name of an identifier.
        if count > 0 and redis.call('ZADD', NAME .. ':names', 0, identifier) == 1 then
            redis.call('EXPIRE', NAME .. ':names', SECONDS_OF_FLOORS)
        end
        others[kind] = note_floor(identifier, kind, most_floors, others[kind])
    end
end

-- Keep the accepted pushes. A group has those of one identifier, and within it a list for each kind has their entries.
local groups, names, changes = {}, {}, {}
local newest = {} -- the position of the newest push of each kind
for _, push in ipairs(accepted) do
    if not push.answer then -- else its signature could not be remembered
        local tail, identifier, kind = push.tail, push.identifier, 'public'
        if tail:byte(1) == SECRET then
            kind = 'secret'
        end
        local group = groups[identifier]
        if not group then
            group = {identifier = identifier, before = false, public = false, secret = false}
            groups[identifier], names[#names + 1] = group, identifier
        end
        local of_kind = group[kind]
        if not of_kind then
            of_kind = {size = 0, first = push.position, last = 0, is_noted = false}
            group[kind] = of_kind
        end
        local number = digits(push.position)
        local entry, head = number .. ' ' .. tail, tail:find(' ', 3, true) + 1
        -- The frame is the head, the position and a closing brace.
        of_kind.size = of_kind.size + #tail - head + 1 + #number + 1
        if tail:byte(head + 2) == BYTE_OF_EXCEPT then
            of_kind.size = of_kind.size - #tail:match('^"except":"[^"]*",', head + 1)
        end
        of_kind[#of_kind + 1], of_kind.last = entry, push.position
        push.entry, push.group, push.of_kind, newest[kind] = entry, group, of_kind, push.position
    end
end
-- Give an error to the pushes of a kind, of one identifier or of all.
local function fail_kind(problem, kind, group)
    for _, push in ipairs(accepted) do
        if push.group and (not group or push.group == group) and push.of_kind == push.group[kind] then
            push.answer = push.answer or failed(problem)
        end
    end
end
for _, identifier in ipairs(names) do
    local group = groups[identifier]
    for _, kind in ipairs(KINDS) do
        if group[kind] then
            local is_done, problem = pcall(keep, group, kind)
            if not is_done then
                fail_kind(problem, kind, group)
            end
        end
    end
end
for _, kind in ipairs(KINDS) do
    if newest[kind] then
        local is_done, bytes = pcall(drop, kind, newest[kind] - KEPT, kept_bytes[kind], keep_bytes)
        if is_done then
            changes[#changes + 1], changes[#changes + 2] = kind .. '_bytes', bytes
        else
            fail_kind(bytes, kind)
        end
    end
end

-- Write down what has changed, once for all pushes.
if names[1] then
    if level then
        for _, change in ipairs({'level', digits(level), 'leaked', digits(clock)}) do
            changes[#changes + 1] = change
        end
    end
    local is_done, problem = pcall(close, position, changes)
    if not is_done then
        fail(accepted, problem)
    end
end
if new_keys > 0 then
    local used = {}
    for _, push in ipairs(accepted) do
        if push.key and not push.answer then
            local answer = push.fingerprint .. ' ' .. digits(push.position) .. ' ' .. push.listeners
            redis.call('SET', NAME .. ':k:' .. push.key, answer, 'PX', RECENTLY_MS)
            used[#used + 1] = push
        end
    end
    if used[1] then
        local is_done, problem = pcall(note_in, NAME .. ':keyed', #used)
        if not is_done then
            fail(used, problem)
        end
    end
end

-- Publish what is kept to all nodes that follow its channel. A push names the one before it on its identifier, which may be
-- one that is kept and has failed then.
local texts, channel_before = {}, channels .. NAME:match('{.*') .. ':'
-- Several pushes of an identifier go in one message if all nodes can read it. A node of an older version follows the channel of
-- all nodes, and not the one of those that can.
local joins_messages = false
if accepted[2] and not waits_for_replicas then
    local nodes = redis.call('PUBSUB', 'NUMSUB', channels .. 'nodes', channels .. 'joined')
    joins_messages = nodes[2] == nodes[4]
end
local message -- that is not published yet: its channel, its beginning, and its pushes
if names[1] and not waits_for_replicas then
    -- Nodes with and without redis_wait can share a Redis for a while. The order of positions must hold all the same.
    local is_done, problem = pcall(publish_confirmed, position)
    if not is_done then
        fail(accepted, problem)
    end
end
local function publish()
    local head = digits(began) .. ' ' .. digits(message.before) .. ' '
    local text = message[2] and '*' .. head .. table.concat(message, '\n') or head .. message[1]
    local heard = redis.pcall('PUBLISH', channel_before .. message.identifier, text)
    if type(heard) == 'table' then
        fail(message.pushes, heard)
    end
end
for _, push in ipairs(accepted) do
    if push.of_kind and push.of_kind.is_noted then
        local before = push.group.before
        if not push.answer and waits_for_replicas then
            texts[#texts + 1] = channel_before .. push.identifier .. ' ' .. digits(began) .. ' ' .. digits(before) .. ' '
                .. push.entry
        elseif not push.answer then
            if message and joins_messages and message.identifier == push.identifier and message.last == before then
                message[#message + 1], message.last = push.entry, push.position
                message.pushes[#message] = push
            else
                if message then
                    publish()
                end
                message = {push.entry, before = before, last = push.position, identifier = push.identifier, pushes = {push}}
            end
        end
        push.group.before = push.position
    end
end
if message then
    publish()
end
if texts[1] then
    local count = redis.pcall('RPUSH', NAME .. ':unsaid', unpack(texts))
    if type(count) == 'table' then
        fail(accepted, count)
    else
        redis.call('EXPIRE', NAME .. ':unsaid', SECONDS_OF_PUSHES)
    end
end

local answers = {}
for index, push in ipairs(pushes) do
    if push.first and push.first.answer and push.answer[1] == 'again' then
        push.answer = push.first.answer -- the push with the same key has failed
    elseif waits_for_replicas and push.answer and push.answer[1] == 'again' then
        -- WAIT covers the writes before it on the same connection, so there must be one.
        local done = redis.pcall('HSET', STATE, 'again', push.answer[2])
        push.answer = type(done) == 'table' and failed(done) or push.answer
    end
    answers[index] = push.answer or push.position
end
return answers
