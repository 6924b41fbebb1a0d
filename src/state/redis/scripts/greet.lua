
-- ARGV[4]  which start of the server this is
-- ARGV[5]  '1' when a start of the server loses nothing that it has acknowledged; '0' when it may
-- ARGV[6]  the moment from which it remembers, should this start have lost something
--
-- Answers 'began', 'lost' or 'kept', and the life of the data set.
local life = redis.call('HGET', KEYS[1], 'life')
local run = redis.call('HGET', KEYS[1], 'run')
redis.call('HSET', KEYS[1], 'run', ARGV[4])
if began then
  return {'began', life}
end
if run ~= ARGV[4] and ARGV[5] == '0' then
  if born < tonumber(ARGV[6]) then
    redis.call('HSET', KEYS[1], 'born', ARGV[6])
  end
  return {'lost', life}
end
return {'kept', life}
