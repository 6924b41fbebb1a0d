-- Sends each request of one file once, then ends: a line is a target and then `name: value` fields, tab-separated.
-- The file is named by the environment variable REQUESTS. Beyond its end only `/beyond` is asked for, which no rule serves.

local ready = {}
-- wrk asks once before the start, only to look at what it gets.
local sent = -1
local answered = 0
local good = 0
local bad = {}
local beyond

function init(_)
  for line in io.lines(os.getenv("REQUESTS")) do
    local parts = {}
    for part in string.gmatch(line, "[^\t]+") do
      table.insert(parts, part)
    end
    local headers = { ["Host"] = "api.example" }
    for index = 2, #parts do
      local name, value = string.match(parts[index], "^([^:]+): (.*)$")
      headers[name] = value
    end
    table.insert(ready, wrk.format("GET", parts[1], headers))
  end
  beyond = wrk.format("GET", "/beyond", { ["Host"] = "api.example" })
end

function request()
  sent = sent + 1
  return ready[sent] or beyond
end

function response(status, _, _)
  -- What is beyond the end is the only thing without a rule.
  if status == 404 then
    return
  end
  answered = answered + 1
  if status == 200 then
    good = good + 1
  else
    bad[status] = (bad[status] or 0) + 1
  end
  if answered == #ready then
    io.write(string.format("GOOD %d", good))
    for code, count in pairs(bad) do
      io.write(string.format(" %d: %d", code, count))
    end
    io.write("\n")
    io.flush()
    -- A thread that stops is waited for until the time is up.
    os.exit(0)
  end
end
