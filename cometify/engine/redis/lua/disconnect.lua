-- Revoke a subject of the account, and tell every node to end connections.
--
--   NAME:revoked   zset    "TIME SUBJECT" by version, a number that grows with each revocation. TIME is in Unix seconds: tokens of
--                          the subject that were issued before it are refused. One subject can be there with several times
--
-- Answers the number of nodes that hear it, or what `use_nonce` returns. A node that does not hear it learns of
-- the revocation from `read.lua`, because it sends the version that it knows.

local channel, text, entry, known, nonce = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local request_memory = tonumber(ARGV[6])
local revoked = NAME .. ':revoked'
local MOST_REVOKED = 10000
local SECONDS_OF_REVOKED = 31 * 86400

if nonce ~= '' then
    local books = request_books()
    local refused = books.use_nonce(nonce, request_memory, 0)
    if refused then
        return refused
    end
    books.note_in(NAME .. ':nonces', 1)
    redis.call('EXPIRE', NAME .. ':nonces', RECENTLY + 120) -- an account that does not push has nothing else to renew it
end
if entry ~= '' then -- else connections of one listener id end, and nothing is remembered
    local newest = redis.call('ZREVRANGE', revoked, 0, 0, 'WITHSCORES')[2]
    local version = math.max(clock, (tonumber(newest) or 0) + 1, known + 1)
    redis.call('ZADD', revoked, digits(version), entry)
    redis.call('ZREMRANGEBYRANK', revoked, 0, -MOST_REVOKED - 1)
    redis.call('ZREMRANGEBYSCORE', revoked, '-inf', digits(clock - SECONDS_OF_REVOKED * 1000000))
    redis.call('EXPIRE', revoked, SECONDS_OF_REVOKED)
end
return redis.call('PUBLISH', channel, '!' .. text)
