
-- KEYS[2]  the record
local record = redis.call('GET', KEYS[2])
if standing(record) == '' then
  return false
end
return record
