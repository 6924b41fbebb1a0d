
-- KEYS[2]  the record
-- ARGV[4]  the version it must have; empty when there must be none
-- ARGV[5]  until when it is kept
-- ARGV[6]  its value
-- ARGV[7]  where news are told, ARGV[8] under which name
local record = redis.call('GET', KEYS[2])
local found = standing(record)
if found ~= ARGV[4] then
  if found == '' then
    return {'conflict'}
  end
  return {'conflict', record}
end
local given = version()
redis.call('SET', KEYS[2], given .. ':' .. ARGV[5] .. ':' .. ARGV[6], 'EX', kept(ARGV[5]))
redis.call('PUBLISH', ARGV[7], ARGV[8])
return {'done', given}
