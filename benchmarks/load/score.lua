-- Posts the bodies of a file in turn (a line each), and prints the run's figures as one line of JSON.
local requests, next_one = {}, 1

function init(args)
  for line in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, { ["content-type"] = "application/json" }, line)
  end
end

function request()
  local answer = requests[next_one]
  next_one = next_one % #requests + 1
  return answer
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"seconds":%.6f,"requests":%d,"status_errors":%d,"socket_errors":%d,"timeouts":%d,' ..
    '"p50":%.6f,"p90":%.6f,"p99":%.6f,"p999":%.6f,"max":%.6f}\n',
    summary.duration / 1e6, summary.requests, e.status, e.connect + e.read + e.write, e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3, latency.max / 1e3))
end
