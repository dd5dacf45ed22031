-- The pushes that Redis keeps of several accounts, counted in parts.
--
-- KEYS[1] is no account here, but "cometify:kept", because one command serves many accounts. No such key is written.
--
-- ARGV: the most identifiers to look at, the lower bound of the first account's names as ZRANGEBYLEX takes it, and the name of
-- each account.
--
-- Answers {last, looked, pushes, bytes, pushes, bytes, ...}: a pair for each account that was looked at. `looked`: the number of
-- identifiers that were looked at. `last` is empty, or the last identifier that was looked at of the last of these accounts, which
-- may have others behind it. An account whose keys are broken counts as empty.

local most, lowest, looked = tonumber(ARGV[1]), ARGV[2], 0

local function list_of(answer)
    return answer.err and {} or answer
end

local function length_of(list)
    local length = redis.pcall('LLEN', list)
    return type(length) == 'number' and length or 0
end

local answer = {'', '0'}
for index = 3, #ARGV do
    local account = ARGV[index]
    local names = list_of(redis.pcall('ZRANGEBYLEX', account .. ':names', lowest, '+', 'LIMIT', 0, most))
    local pushes, bytes = 0, 0
    looked = looked + #names
    for _, name in ipairs(names) do
        local known = list_of(redis.pcall('HMGET', account .. ':info:' .. name, 'public_bytes', 'secret_bytes'))
        for kind_index, kind in ipairs({'public', 'secret'}) do
            local number = length_of(account .. ':' .. kind .. ':' .. name)
            if number > 0 then -- else all of them have expired, and the bytes are not true any longer
                pushes, bytes = pushes + number, bytes + (tonumber(known[kind_index] or 0) or 0)
            end
        end
    end
    answer[#answer + 1], answer[#answer + 2] = digits(pushes), digits(bytes)
    if #names == most then
        answer[1] = names[#names]
        break
    end
    most, lowest = most - #names, '-'
end
answer[2] = digits(looked)
return answer
