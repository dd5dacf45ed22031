-- Replaces the record of one account, if it still is what the caller has seen. Answers the new version, or 0.
--
-- KEYS[1] is NAME, which all keys of the store begin with:
--
--   NAME           hash    for each API key its record, with the API secrets
--   NAME:state     hash    origin: a text at random, made with the first change; another one means another store
--                          version: the number of changes
--                          floor: a reader that knows a version below it must read all records
--                          mark: a text at random, of the last change
--   NAME:marks     zset    the marks of the latest changes, by their version. A failover can lose changes, and others then get
--                          the same versions. A reader notices by the mark that it knows another one
--   NAME:changes   zset    the API keys that were changed, those that were removed too, by the version of the last change
--
-- ARGV: API key, record before ('' for none), record after ('' for none), channel, a text at random

local NAME, STATE, CHANGES, MARKS = KEYS[1], KEYS[1] .. ':state', KEYS[1] .. ':changes', KEYS[1] .. ':marks'
local MOST_CHANGES = 10000
if (redis.call('HGET', NAME, ARGV[1]) or '') ~= ARGV[2] then
    return 0
end
redis.call('HSETNX', STATE, 'origin', ARGV[5])
local version = redis.call('HINCRBY', STATE, 'version', 1)
if ARGV[3] == '' then
    redis.call('HDEL', NAME, ARGV[1])
else
    redis.call('HSET', NAME, ARGV[1], ARGV[3])
end
redis.call('HSET', STATE, 'mark', ARGV[5])
redis.call('ZADD', MARKS, version, ARGV[5])
redis.call('ZREMRANGEBYRANK', MARKS, 0, -MOST_CHANGES - 1)
redis.call('ZADD', CHANGES, version, ARGV[1])
local beyond = redis.call('ZCARD', CHANGES) - MOST_CHANGES
if beyond > 0 then
    local newest = redis.call('ZRANGE', CHANGES, beyond - 1, beyond - 1, 'WITHSCORES')
    redis.call('HSET', STATE, 'floor', newest[2])
    redis.call('ZREMRANGEBYRANK', CHANGES, 0, beyond - 1)
end
redis.call('PUBLISH', ARGV[4], version)
return version
