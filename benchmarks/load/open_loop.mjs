// A constant rate, whatever the server does: loadtest opens another connection where none is free, and a request's
// latency counts from the moment it was due, so that neither a slow server nor a late generator hides waiting.
import fs from 'fs'
import { createRequire } from 'module'
import { pathToFileURL } from 'url'

const [modules, url, bodiesFile, rateText, secondsText] = process.argv.slice(2)
const require = createRequire(pathToFileURL(modules + '/'))
const { loadTest } = await import(pathToFileURL(require.resolve('loadtest')).href)

const bodies = fs.readFileSync(bodiesFile, 'utf8').trimEnd().split('\n').map((line) => Buffer.from(line))
const rate = Number(rateText)
const total = Math.round(rate * Number(secondsText))
const answers = []
// Where the schedule begins: a generator that starts late would otherwise make all others seem early.
let origin = Infinity
let begun = 0, first = 0, good = 0, refused = 0, last = 0

function generate(options, params, request, callback) {
  const now = performance.now()
  if (begun === 0) first = now
  const offset = begun * 1000 / rate
  origin = Math.min(origin, now - offset)
  const body = bodies[begun % bodies.length]
  begun += 1
  params.headers['content-type'] = 'application/json'
  params.headers['content-length'] = body.length
  const sent = request(params, (response) => {
    response.on('end', () => {
      last = performance.now()
      answers.push(last - offset)
      if (response.statusCode === 200) good += 1
      else refused += 1
    })
    callback(response)
  })
  sent.write(body)
  return sent
}

await loadTest({
  url, method: 'POST', requestsPerSecond: rate, maxRequests: total, agentKeepAlive: true, timeout: 30000,
  requestGenerator: generate, quiet: true,
})
const latencies = answers.map((end) => end - origin).sort((a, b) => a - b)
const at = (share) => latencies.length ? latencies[Math.min(latencies.length - 1, Math.ceil(share * latencies.length) - 1)] : 0
console.log(JSON.stringify({
  seconds: (last - first) / 1000, good, refused, failed: total - good - refused,
  p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1),
}))
process.exit(0)
