import { trace } from '@opentelemetry/api'
import { createLog, runMain } from '../../src/index.ts'

/** A process that makes one span. At its end it says how many milliseconds that took after its work. */
let stopped = 0
const log = createLog('traced-program')
process.exitCode = await runMain(() => ({
  log,
  traces: { service: 'traced-program', env: process.env },
  start: async () => {
    trace.getTracer('test').startSpan('work').end()
    return {
      ended: Promise.resolve(0),
      stop: async () => {
        stopped = performance.now()
      },
    }
  },
}))
process.on('exit', () => {
  process.stdout.write(`${JSON.stringify({ event: 'ended', ms: performance.now() - stopped })}\n`)
})
