
-- KEYS[2]  the log
-- ARGV[4]  the life that the reader knows
-- ARGV[5]  the last entry it has read, in that life
-- ARGV[6]  how many entries at most
--
-- Answers with the life, then the entries. A reader that knows another life gets the log from its start.
local life = redis.call('HGET', KEYS[1], 'life')
local after = '0'
if life == ARGV[4] then
  after = ARGV[5]
end
local answer = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. after, '+inf', 'LIMIT', 0, ARGV[6])
table.insert(answer, 1, life)
return answer
