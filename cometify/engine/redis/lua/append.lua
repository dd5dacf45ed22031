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

-- A push that comes alone must cost no more than it must, and most of its cost is Lua's. Functions, tables and variables that
-- functions use are made in each run (see names.lua). So what several functions need stands in one table, the `step`, arguments
-- become numbers only where they are used, and digits that were read are written back as they are.
--
-- Arguments:
--    1  the highest position that the node knows by any means
--    2  the position of the last push that it knows of
--    3  buffer_pushes, 4 buffer_bytes, 5 keep_bytes
--    6  the beginning of the names of all channels
--    7  signature_memory
--    8  1 if pushes wait for replicas
--    9  the limit of the account in pushes a second, 0 if it has none; 10 its burst
--   11  the most nonces that are remembered, and the most keys
--   12  the most identifiers that have a floor of their own
-- From 13 on, for each push: its identifier, "SECRET PUSH_ID HEAD", and a letter for each argument that follows.
--   c  the pushes that this one counts for in the rate: 1 without it, and 0 for a later one of a batch
--   i  the identifier as it was signed, if that is another spelling
--   k  the Idempotency-Key
--   f  the fingerprint of all that must be the same if the push comes again with the same key
--   l  the number of listeners that is answered, and answered again with the same key
--   n  the nonce
--   s  the signature
local FIRST = 13
local SECRET = 49 -- '1'
local waits_for_replicas = ARGV[8] == '1'

-- Give pushes that have no answer yet that of a problem, as `pcall` and `redis.pcall` return it. `list`: only those in it.
local function fail(concerned, problem, list)
    local words = type(problem) == 'table' and problem.err or tostring(problem)
    for _, push in ipairs(concerned) do
        if not push.answer and (not list or push.list == list) then
            push.answer = {'error', words:find('^%u+ ') and words or 'ERR ' .. words}
        end
    end
end

-- Read the arguments. All fields that most pushes need are made at once, because a table that grows is copied.
local pushes, signatures = {}, {}
local at, last, is_any_secret = FIRST, #ARGV, false
while at < last do
    local tail, kind = ARGV[at + 1], 'public'
    if tail:byte(1) == SECRET then
        kind, is_any_secret = 'secret', true
    end
    local push = {identifier = ARGV[at], kind = kind, tail = tail, signature = false, answer = false, position = false,
        number = false, list = false}
    local letters = ARGV[at + 2]
    at = at + 3
    if letters == 's' then -- most pushes have this alone, or nothing
        push.signature, letters = ARGV[at], ''
        signatures[#signatures + 1], at = ARGV[at], at + 1
    end
    for index = 1, #letters do
        local letter, value = letters:sub(index, index), ARGV[at]
        at = at + 1
        if letter == 's' then
            push.signature = value
            signatures[#signatures + 1] = value
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

local accepted = {} -- the pushes that are accepted, in their order, with positions one above the other
-- The fields that most scripts need are made at once. The others are
--   books                   see `request_books`
--   level                   of the leaky bucket
--   unconfirmed             the pushes that wait for replicas
--   keyed                   the pushes with a key that this script has accepted and not written down yet, by their keys
--   new_keys, new_nonces    how many keys and nonces are not written down yet
local step = {
    decided = 0, -- pushes
    state = false, -- see `read_state`
    position = false, began = false, kept_bytes = false, -- see `open`
    used_for = {}, -- the identifier of each signature that is remembered, or accepted by this script
    newly_signed = false, -- the pushes with new signatures
    before = {}, -- for each identifier its last push
}
if signatures[1] then
    local remembered = redis.pcall('HMGET', NAME .. ':s', unpack(signatures))
    if remembered.err then
        for _, push in ipairs(pushes) do
            if push.signature then
                fail({push}, remembered)
            end
        end
    else
        for index, found in ipairs(remembered) do
            if found then
                local when, spelled = found:match('^(%d+) (.*)$')
                if when and tonumber(when) > clock - RECENTLY * 1000000 then
                    step.used_for[signatures[index]] = spelled
                end
            end
        end
    end
end

-- Decide on a push: refuse it, recognise it, or give it a position. Returns its answer, or false if it is accepted.
local function decide(push)
    -- This comes first, so that a request can be sent again exactly as it was.
    if push.key then
        step.keyed, step.books = step.keyed or {}, step.books or request_books()
        local first = step.keyed[push.key]
        if first then
            push.first = first
            return first.fingerprint == push.fingerprint and {'again', first.number, first.listeners} or {'mismatch'}
        end
        local answered = redis.call('GET', NAME .. ':k:' .. push.key)
        if answered then
            local fingerprint, pushed_at, listeners = answered:match('^(%S+) (%d+) (%d+)$')
            return fingerprint == push.fingerprint and {'again', pushed_at, listeners} or {'mismatch'}
        end
        -- The first push of a batch needs room for all of it, and the later ones cost nothing.
        local cost = push.cost or 1
        local full = cost > 0 and step.books.room_for(NAME .. ':keyed', cost, ARGV[11] + 0, step.new_keys or 0)
        if full then
            return full
        end
    end
    -- The replicas do not answer. The list must not grow beyond what one script can publish.
    if ARGV[8] == '1' then
        step.unconfirmed = step.unconfirmed or redis.call('LLEN', NAME .. ':unsaid')
        if step.unconfirmed + #accepted >= MOST_UNCONFIRMED then
            return {'behind'}
        end
    end
    -- May the account push now? This is the leaky bucket of core/leaky_bucket.py. The push is charged only when nothing else
    -- refuses it, because a captured request could use up the rate otherwise.
    local new_level = step.level
    if ARGV[9] ~= '0' then
        step.state = step.state or read_state('secret_bytes', 'level', 'leaked')
        local cost = push.cost or 1
        if cost > 0 then
            local past = math.max(0, clock - (tonumber(step.state[7]) or 0))
            new_level = (new_level or math.max(0, (tonumber(step.state[6]) or 0) - past * ARGV[9])) + cost * 1000000
            local too_high = new_level - ARGV[10] * 1000000
            if too_high > 0 then
                return {'wait', digits(math.ceil(too_high / ARGV[9]))}
            end
        end
    end
    local state = step.state
    if not state and not step.position then
        state = is_any_secret and read_state('secret_bytes') or read_state()
    end
    if push.nonce then
        step.books = step.books or request_books()
        local refused = step.books.use_nonce(push.nonce, ARGV[11] + 0, step.new_nonces or 0)
        if refused then
            return refused
        end
        step.new_nonces = (step.new_nonces or 0) + 1
    end
    -- Was the signature accepted for another identifier?
    if push.signature then
        local spelled = step.used_for[push.signature]
        if not spelled then
            step.used_for[push.signature] = push.spelled or push.identifier
            step.newly_signed = step.newly_signed or {}
            step.newly_signed[#step.newly_signed + 1] = push
        elseif spelled:lower() ~= push.identifier then
            return {'reused', spelled}
        end
    end
    if step.position then
        step.position = step.position + 1
    else
        step.position, step.began, step.kept_bytes = open(state, ARGV[2] + 0, ARGV[1] + 1, 1)
    end
    step.level = new_level
    if push.key then
        step.keyed[push.key], step.new_keys = push, (step.new_keys or 0) + 1
    end
    push.position, push.number = step.position, digits(step.position)
    accepted[#accepted + 1] = push
    return false
end

-- Decide on all pushes in their order, up to one that fails.
local function decide_all()
    while step.decided < #pushes do
        step.decided = step.decided + 1
        local push = pushes[step.decided]
        push.answer = push.answer or decide(push)
    end
end
while step.decided < #pushes do
    local is_done, problem = pcall(decide_all)
    if not is_done then
        fail({pushes[step.decided]}, problem)
    end
end

if step.new_nonces then
    step.books.note_in(NAME .. ':nonces', step.new_nonces)
end

if step.newly_signed then
    -- Remember the new signatures, and forget those that are too old, and the oldest ones above the limit.
    local function remember_signatures(newly_signed)
        local remembered, book = NAME .. ':s', NAME .. ':signed'
        local now, signature_memory = digits(clock) .. ' ', ARGV[7] + 0
        local values, entries = {false, false}, {false}
        for index, push in ipairs(newly_signed) do
            values[2 * index - 1], values[2 * index] = push.signature, now .. (push.spelled or push.identifier)
            entries[index] = now .. push.signature
        end
        redis.call('HSET', remembered, unpack(values))
        local count = redis.call('RPUSH', book, unpack(entries))
        local oldest = redis.call('LINDEX', book, 0):match('^%d+')
        if count > signature_memory or oldest + RECENTLY * 1000000 <= clock then
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
    local is_done, problem = pcall(remember_signatures, step.newly_signed)
    if not is_done then
        fail(step.newly_signed, problem)
    end
end

-- Keep the pushes of one identifier and one kind, and drop the oldest ones beyond the limits of both.
local function keep(list)
    local identifier, kind = list.identifier, list.kind
    local key, info = keys_of(identifier, kind)
    local last_field, floor_field, bytes_field, renewed_field = 'public_last', 'public_floor', 'public_bytes', 'public_renewed'
    local other_last = 'secret_last'
    if kind == 'secret' then
        last_field, floor_field, bytes_field, renewed_field = 'secret_last', 'secret_floor', 'secret_bytes', 'secret_renewed'
        other_last = 'public_last'
    end
    local known = redis.call('HMGET', info, last_field, other_last, floor_field, bytes_field, renewed_field)
    local floor, bytes = known[3] or redis.call('HGET', STATE, kind .. '_others') or '0', known[4] or 0
    if not step.before[identifier] then
        local last, other = known[1] or '0', known[2]
        step.before[identifier] = other and tonumber(other) > tonumber(last) and other or last
    end
    local count, kept = redis.call('RPUSH', key, unpack(list)), step.kept_bytes[kind]
    local is_first = count == #list
    if is_first then -- the pushes before it, if there were any, have expired
        floor, kept, bytes = digits(math.max(floor, known[1] or 0)), kept - bytes, 0
    end
    bytes, kept = bytes + list.size, kept + list.size
    local oldest = is_first and list.first or nil -- nil: unchanged; false: nothing is left
    local most_pushes, most_bytes = ARGV[3] + 0, ARGV[4] + 0
    while count > most_pushes or (bytes > most_bytes and count > 0) do
        local dropped = redis.call('LPOP', key, math.min(math.max(count - most_pushes, 1), MOST_DROPS))
        for _, entry in ipairs(dropped) do
            local _, freed = read_entry(entry)
            bytes, kept = bytes - freed, kept - freed
        end
        floor, count = dropped[#dropped]:match('^%d+'), count - #dropped
        local next_entry = redis.call('LINDEX', key, 0)
        oldest = next_entry and next_entry:match('^%d+') or false
    end
    local is_renewed = is_first or count <= 1 or clock - (known[5] or 0) > RENEWED_AFTER
    if is_renewed then
        redis.call('HSET', info, last_field, list.number, bytes_field, bytes, floor_field, floor, renewed_field, digits(clock))
    else
        redis.call('HSET', info, last_field, list.number, bytes_field, bytes, floor_field, floor)
    end
    list.is_noted, step.kept_bytes[kind] = true, kept
    if is_renewed then
        redis.call('EXPIRE', key, SECONDS_OF_PUSHES)
        redis.call('EXPIRE', info, SECONDS_OF_FLOORS)
    end
    local oldest_key = NAME .. ':oldest:' .. kind
    if oldest then
        if redis.call('ZADD', oldest_key, oldest, identifier) == 1 then
            redis.call('EXPIRE', oldest_key, SECONDS_OF_FLOORS)
        end
    elseif oldest == false then
        redis.call('ZREM', oldest_key, identifier)
        seldom_used().forget_name(identifier)
    end
    if is_renewed then
        -- Not at the first push alone, because a node of an older version does not write the name of an identifier.
        if count > 0 and redis.call('ZADD', NAME .. ':names', 0, identifier) == 1 then
            redis.call('EXPIRE', NAME .. ':names', SECONDS_OF_FLOORS)
        end
        seldom_used().note_floor(identifier, kind, ARGV[12] + 0)
    end
end

-- Keep the accepted pushes: for each identifier and kind a list of their entries.
local lists, list_of = {}, {} -- list_of: the list of each identifier. That of its secret pushes stands behind a blank
local newest = {public = false, secret = false} -- the newest push of each kind
for _, push in ipairs(accepted) do
    if not push.answer then -- else its signature could not be remembered
        local tail, identifier, kind, number = push.tail, push.identifier, push.kind, push.number
        local name = kind == 'public' and identifier or ' ' .. identifier
        local list = list_of[name]
        if not list then
            list = {identifier = identifier, kind = kind, size = 0, first = number, number = false, is_noted = false}
            list_of[name], lists[#lists + 1] = list, list
        end
        local entry, head = number .. ' ' .. tail, tail:find(' ', 3, true) + 1
        -- The frame is the head, the position and a closing brace.
        list.size = list.size + #tail - head + 1 + #number + 1
        if tail:byte(head + 2) == BYTE_OF_EXCEPT then
            list.size = list.size - #tail:match('^"except":"[^"]*",', head + 1)
        end
        list[#list + 1], list.number = entry, number
        push.list, push.tail, newest[kind] = list, entry, push
    end
end
for _, list in ipairs(lists) do
    local is_done, problem = pcall(keep, list)
    if not is_done then
        fail(accepted, problem, list)
    end
end
local changes = {}
for kind, push in pairs(newest) do
    if push then
        local is_done, bytes = pcall(drop, kind, push.position - KEPT, step.kept_bytes[kind], ARGV[5] + 0)
        if is_done then
            changes = changes[1] and {changes[1], changes[2], kind .. '_bytes', bytes} or {kind .. '_bytes', bytes}
        else
            for _, list in ipairs(lists) do
                if list.kind == kind then
                    fail(accepted, bytes, list)
                end
            end
        end
    end
end

-- Write down what has changed, once for all pushes.
if lists[1] then
    if step.level then
        for _, change in ipairs({'level', digits(step.level), 'leaked', digits(clock)}) do
            changes[#changes + 1] = change
        end
    end
    local done = redis.pcall('HSET', STATE, 'last', accepted[#accepted].number, unpack(changes))
    if type(done) == 'table' then
        fail(accepted, done)
    end
end
if step.new_keys then
    local used = {}
    for _, push in ipairs(accepted) do
        if push.key and not push.answer then
            local answer = push.fingerprint .. ' ' .. push.number .. ' ' .. push.listeners
            redis.call('SET', NAME .. ':k:' .. push.key, answer, 'PX', RECENTLY_MS)
            used[#used + 1] = push
        end
    end
    if used[1] then
        local is_done, problem = pcall(step.books.note_in, NAME .. ':keyed', #used)
        if not is_done then
            fail(used, problem)
        end
    end
end

-- Publish what is kept to all nodes that follow its channel. A push names the one before it on its identifier, which may be
-- one that is kept and has failed then.
if lists[1] and not waits_for_replicas then
    -- Nodes with and without redis_wait can share a Redis for a while. The order of positions must hold all the same.
    local is_done, problem = pcall(publish_confirmed, step.position)
    if not is_done then
        fail(accepted, problem)
    end
end
-- Several pushes of an identifier go in one message if all nodes can read it. A node of an older version follows the channel of
-- all nodes, and not the one of those that can.
local joins_messages = false
if accepted[2] and not waits_for_replicas then
    local nodes = redis.call('PUBSUB', 'NUMSUB', ARGV[6] .. 'nodes', ARGV[6] .. 'joined')
    joins_messages = nodes[2] == nodes[4]
end
local texts
local channel_before, index = ARGV[6] .. NAME:sub(#'cometify:' + 1) .. ':', 1
while index <= #accepted do
    local push, last = accepted[index], index
    local identifier = push.identifier
    local before = step.before[identifier]
    if push.list and push.list.is_noted then
        step.before[identifier] = push.number
        if not push.answer then
            local entry = push.tail
            if joins_messages then
                -- Take the pushes behind this one that can stand in the same message.
                local next_push, entries = accepted[last + 1], {entry}
                while next_push and next_push.identifier == identifier and not next_push.answer and next_push.list.is_noted do
                    last, step.before[identifier] = last + 1, next_push.number
                    entries[#entries + 1], next_push = next_push.tail, accepted[last + 1]
                end
                entry = table.concat(entries, '\n')
            end
            local text = step.began .. ' ' .. before .. ' ' .. entry
            if waits_for_replicas then
                texts = texts or {}
                texts[#texts + 1] = channel_before .. identifier .. ' ' .. text
            else
                local heard = redis.pcall(ANNOUNCE, channel_before .. identifier, last > index and '*' .. text or text)
                if type(heard) == 'table' then
                    for failed = index, last do
                        fail({accepted[failed]}, heard)
                    end
                end
            end
        end
    end
    index = last + 1
end
if texts then
    local count = redis.pcall('RPUSH', NAME .. ':unsaid', unpack(texts))
    if type(count) == 'table' then
        fail(accepted, count)
    else
        redis.call('EXPIRE', NAME .. ':unsaid', SECONDS_OF_PUSHES)
    end
end

-- The answers take the places of the pushes.
for index, push in ipairs(pushes) do
    if push.first and push.first.answer and push.answer[1] == 'again' then
        push.answer = push.first.answer -- the push with the same key has failed
    elseif waits_for_replicas and push.answer and push.answer[1] == 'again' then
        -- WAIT covers the writes before it on the same connection, so there must be one.
        local done = redis.pcall('HSET', STATE, 'again', push.answer[2])
        if type(done) == 'table' then
            push.answer = false
            fail({push}, done)
        end
    end
    pushes[index] = push.answer or push.position
end
return pushes
