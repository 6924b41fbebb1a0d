-- Sends the requests of one file in turn: a line is a target and then `name: value` fields, tab-separated.
-- The file is named by the environment variable REQUESTS. Requests are written out once, before the clock starts.

local ready = {}
local next_one = 0

function init(_)
  for line in io.lines(os.getenv("REQUESTS")) do
    local parts = {}
    for part in string.gmatch(line, "[^\t]+") do
      table.insert(parts, part)
    end
    local headers = { ["Host"] = "api.example", ["Accept"] = "application/json", ["User-Agent"] = "wrk" }
    for index = 2, #parts do
      local name, value = string.match(parts[index], "^([^:]+): (.*)$")
      headers[name] = value
    end
    table.insert(ready, wrk.format("GET", parts[1], headers))
  end
end

function request()
  next_one = next_one % #ready + 1
  return ready[next_one]
end

function done(summary, _, _)
  io.write(string.format("COUNT %d ERRORS %d\n", summary.requests,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
  io.write(string.format("REFUSED %d\n", summary.errors.status))
end
