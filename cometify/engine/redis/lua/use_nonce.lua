-- Use up the nonce of a request that pushes nothing. Answers an empty list, or what `use_nonce` returns.

local books = request_books()
local refused = books.use_nonce(ARGV[1], tonumber(ARGV[2]), 0)
if not refused then
    books.note_in(NAME .. ':nonces', 1)
    redis.call('EXPIRE', NAME .. ':nonces', RECENTLY + 120) -- an account that does not push has nothing else to renew it
end
return refused or {}
