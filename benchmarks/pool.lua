-- wrk sends each request of a prepared pool in turn: `-s pool.lua URL -- FILE`. In the file, each
-- request's bytes follow its length in decimal and a line feed. At the end: one line of JSON.

local pool, at = {}, 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local text = file:read("*a")
  file:close()
  local from = 1
  while from <= #text do
    local stop = text:find("\n", from, true)
    local size = tonumber(text:sub(from, stop - 1))
    pool[#pool + 1] = text:sub(stop + 1, stop + size)
    from = stop + size + 1
  end
end

function request()
  at = at % #pool + 1
  return pool[at]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d,"p999":%d,"max":%d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
