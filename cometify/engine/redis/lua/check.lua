-- A check of Redis before the node is ready: may this user run every command that the scripts use, is there memory to write,
-- and are the keys of a layout that this version knows?
--
-- KEYS[1] is no name of an account: it has a dot, which an API key cannot have.
--
--   NAME:schema  string  the number of the layout of all keys in this database; without it 1. It has no time to live
--   NAME:trial           there only while this script runs
--
-- Answers the number of the layout that was found. A newer one stays as it is, and the node refuses to use the keys.

local schema, trial, known = NAME .. ':schema', NAME .. ':trial', tonumber(ARGV[1])
for _, command in ipairs({
    {'SET', trial, 1, 'EX', 60}, {'EXPIRE', trial, 60}, {'EXISTS', trial}, {'DEL', trial},
    {'HSET', trial, 'a', 1}, {'HGET', trial, 'a'}, {'HMGET', trial, 'a'}, {'HINCRBY', trial, 'a', 1}, {'HLEN', trial},
    {'HGETALL', trial}, {'HVALS', trial}, {'HEXISTS', trial, 'a'}, {'HDEL', trial, 'a'},
    {'RPUSH', trial, 1}, {'LINDEX', trial, 0}, {'LLEN', trial}, {'LRANGE', trial, 0, 0}, {'LTRIM', trial, 0, 0},
    {'LPOP', trial, 1},
    {'SADD', trial, 1}, {'SCARD', trial}, {'SISMEMBER', trial, 1}, {'SMEMBERS', trial}, {'SREM', trial, 1},
    {'SADD', trial, 1}, {'SPOP', trial},
    {'ZADD', trial, 0, 1}, {'ZCARD', trial}, {'ZCOUNT', trial, 1, 1}, {'ZSCORE', trial, 1},
    {'ZRANGE', trial, 0, 0}, {'ZREVRANGE', trial, 0, 0}, {'ZRANGEBYLEX', trial, '-', '+'},
    {'ZRANGEBYSCORE', trial, 1, 1}, {'ZREMRANGEBYRANK', trial, 1, 1}, {'ZREMRANGEBYSCORE', trial, 1, 1},
    {'ZREM', trial, 1},
    {'PUBLISH', trial, ''}, {ANNOUNCE, trial, ''}, {'PUBSUB', 'NUMSUB', trial},
}) do
    redis.call(unpack(command))
end

local found = tonumber(redis.call('GET', schema) or '1')
if found < known then
    redis.call('SET', schema, known)
end
return found
