
-- KEYS[2]  the mark
-- ARGV[4]  when what is spent was made
-- ARGV[5]  until when the mark must stand
if redis.call('EXISTS', KEYS[2]) == 1 then
  return 'again'
end
if tonumber(ARGV[4]) < born then
  return 'forgotten'
end
-- The mark of what has ended may be gone already, and it can no longer be spent.
if tonumber(ARGV[5]) < now then
  return 'again'
end
redis.call('SET', KEYS[2], ARGV[5], 'EX', kept(ARGV[5]))
return 'first'
