
-- KEYS[2]  the record
-- ARGV[4]  where news are told, ARGV[5] under which name
local record = redis.call('GET', KEYS[2])
if not record then
  return 0
end
local found = standing(record)
redis.call('DEL', KEYS[2])
redis.call('PUBLISH', ARGV[4], ARGV[5])
if found == '' then
  return 0
end
return 1
