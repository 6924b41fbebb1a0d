
-- KEYS[2]  the log: number:until:value by number
-- KEYS[3]  when its entries end: number by until
-- ARGV[4]  until when the entry is kept
-- ARGV[5]  its value
-- ARGV[6]  where news are told, ARGV[7] under which name
--
-- Each append clears away some of what has ended, so that the log is no longer than what still holds and a little.
for _, ended in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', text(now - 600), 'LIMIT', 0, 64)) do
  redis.call('ZREMRANGEBYSCORE', KEYS[2], ended, ended)
  redis.call('ZREM', KEYS[3], ended)
end
local number = version()
redis.call('ZADD', KEYS[2], number, number .. ':' .. ARGV[4] .. ':' .. ARGV[5])
redis.call('ZADD', KEYS[3], ARGV[4], number)
redis.call('PUBLISH', ARGV[6], ARGV[7])
return number
