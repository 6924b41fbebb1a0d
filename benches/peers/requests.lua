-- One row's requests for wrk, told by the environment:
--
--   TARGET, METHOD, BODY (bytes)   what is asked for
--   CREDENTIALS, FIELD             a file of credentials, one a line, and the text before each: `Authorization: Bearer `
--   DISTINCT, OFFSET               how many of the file's lines take turns, and with which to begin
--   ONCE                           `1`: each credential comes once, and the load ends with them
--
-- Requests are written out before the clock starts. What came of them is told as one line of JSON.

local ready = {}
local sent = 0

function init(_)
  local method, target = os.getenv("METHOD"), os.getenv("TARGET")
  local body = tonumber(os.getenv("BODY"))
  body = 0 < body and string.rep("x", body) or nil
  local name, before = string.match(os.getenv("FIELD"), "^([^:]*): ?(.*)$")
  local function add(credential)
    local headers = { ["Host"] = "api.example", ["Accept"] = "application/json", ["User-Agent"] = "wrk" }
    if credential then
      headers[name] = before .. credential
    end
    table.insert(ready, wrk.format(method, target, headers, body))
  end
  if os.getenv("CREDENTIALS") == "" then
    add(nil)
    return
  end
  local wanted = tonumber(os.getenv("DISTINCT"))
  for line in io.lines(os.getenv("CREDENTIALS")) do
    if wanted <= #ready then
      break
    end
    add(line)
  end
  sent = tonumber(os.getenv("OFFSET")) % #ready
end

function request()
  sent = sent + 1
  return ready[(sent - 1) % #ready + 1]
end

if os.getenv("ONCE") == "1" then
  local answered = 0
  function response()
    answered = answered + 1
    -- So many are under way still; none may be sent twice.
    if #ready - tonumber(os.getenv("CONNECTIONS")) <= answered then
      wrk.thread:stop()
    end
  end
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\nTOLD {"count": %d, "errors": %d, "refused": %d, "micros": %d, "bytes": %d, "p50_us": %.0f, "p99_us": %.0f}\n',
    summary.requests, errors.connect + errors.read + errors.write + errors.timeout, errors.status, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99)))
end
