-- Stands in front of every operation, in one script with it: learns the time, and sees to it that the data set has a beginning.
--
-- KEYS[1]  what is known of the data set: born, life, latest, version, run
-- ARGV[1]  now, as the caller has it
-- ARGV[2]  the life of a data set that begins here
-- ARGV[3]  the moment from which a data set that begins here remembers
--
-- Leaves behind: now, born, began, micros, and the functions below. Numbers are written out by text(), since Lua itself would
-- round them to 14 digits.

local function text(number)
  return string.format('%.0f', number)
end

local stamp = redis.call('TIME')
local machine = tonumber(stamp[1])
local micros = machine * 1000000 + tonumber(stamp[2])
local now = tonumber(ARGV[1])

local known = redis.call('HMGET', KEYS[1], 'born', 'latest')
local began = not known[1]
if began then
  redis.call('HSET', KEYS[1], 'born', ARGV[3], 'life', ARGV[2])
end
local born = tonumber(known[1] or ARGV[3])

-- A clock that is set back must not revive what has ended. A caller whose clock is ahead of this machine's moves nobody but itself.
local latest = tonumber(known[2] or '0')
local seen = math.min(now, machine)
if latest < seen then
  latest = seen
  redis.call('HSET', KEYS[1], 'latest', text(latest))
end
now = math.max(now, latest)

-- Seconds for which something that ends at `moment` is kept: ten minutes beyond its end, since clocks differ; at most a century.
local function kept(moment)
  return text(math.min(math.max(tonumber(moment) - now, 0) + 600, 3153600000))
end

-- A version larger than every one before it. It follows the clock of this machine, so that a data set that was lost in part
-- does not give out again what it no longer knows of.
local function version()
  local last = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
  local given = text(math.max(last + 1, micros))
  redis.call('HSET', KEYS[1], 'version', given)
  return given
end

-- The version of a record when it is not past its end; an empty text otherwise. Fails on what no operation of ours has written.
local function standing(record)
  if not record then
    return ''
  end
  local given, moment = string.match(record, '^(%d+):(%-?%d+):')
  if now < tonumber(moment) then
    return given
  end
  return ''
end
