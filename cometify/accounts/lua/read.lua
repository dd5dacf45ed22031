-- Reads the records that have changed. change.lua describes the keys.
--
-- ARGV: the origin, the version and the mark that the caller knows; version -1: none.
-- Answers an empty list if nothing has changed, else {origin, version, mark, how much, API key, record, ...}.
-- How much: 0 if the changed records follow, 1 if all do, 2 if all do because this store lacks a change that the caller knows.
-- The record of an account that was removed is ''.

local NAME, STATE, CHANGES, MARKS = KEYS[1], KEYS[1] .. ':state', KEYS[1] .. ':changes', KEYS[1] .. ':marks'
local state = redis.call('HMGET', STATE, 'origin', 'version', 'floor', 'mark')
local origin, version, floor, mark = state[1] or '', tonumber(state[2] or 0), tonumber(state[3] or 0), state[4] or ''
local known, known_mark = tonumber(ARGV[2]), ARGV[3]
if origin == ARGV[1] and version == known and mark == known_mark then
    return {}
end
local has_lost = origin ~= ARGV[1] or known > version
-- A store that an older version of Cometify has made has no marks. Marks as old as `floor` are forgotten.
if not has_lost and known_mark ~= '' and known >= floor then
    has_lost = tonumber(redis.call('ZSCORE', MARKS, known_mark) or -1) ~= known
end
if has_lost or known < floor then
    local answer = {origin, version, mark, has_lost and 2 or 1}
    for _, part in ipairs(redis.call('HGETALL', NAME)) do
        answer[#answer + 1] = part
    end
    return answer
end
local answer = {origin, version, mark, 0}
for _, api_key in ipairs(redis.call('ZRANGEBYSCORE', CHANGES, '(' .. known, '+inf')) do
    table.insert(answer, api_key)
    table.insert(answer, redis.call('HGET', NAME, api_key) or '')
end
return answer
