-- Reads the records that have changed. change.lua describes the keys.
--
-- ARGV: the origin and the version that the caller knows; version -1: none.
-- Answers an empty list if nothing has changed, else {origin, version, 1 if all records follow, API key, record, ...}.
-- The record of an account that was removed is ''.

local NAME, STATE, CHANGES = KEYS[1], KEYS[1] .. ':state', KEYS[1] .. ':changes'
local state = redis.call('HMGET', STATE, 'origin', 'version', 'floor')
local origin, version, floor = state[1] or '', tonumber(state[2] or 0), tonumber(state[3] or 0)
local known = tonumber(ARGV[2])
if origin == ARGV[1] and version == known then
    return {}
end
if origin ~= ARGV[1] or known > version or known < floor then
    local answer = redis.call('HGETALL', NAME)
    table.insert(answer, 1, 1)
    table.insert(answer, 1, version)
    table.insert(answer, 1, origin)
    return answer
end
local answer = {origin, version, 0}
for _, api_key in ipairs(redis.call('ZRANGEBYSCORE', CHANGES, '(' .. known, '+inf')) do
    table.insert(answer, api_key)
    table.insert(answer, redis.call('HGET', NAME, api_key) or '')
end
return answer
