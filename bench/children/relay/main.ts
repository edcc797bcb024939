import { createRelay } from '@esteira/outbox/relay'
import { recordProfile } from '../../profile/record-profile.ts'
import { say, startClock, taskSchema } from '../messages.ts'

/** How often to tell how far it is, milliseconds. */
const progressMs = 100

/** The relay in a process of its own, as the sidecar runs it. The clock starts when the lane is owned. */
const { databaseUrl, rabbitmqUrl, lane, rows, window, profileTo } = taskSchema.parse(JSON.parse(process.argv[2] ?? ''))
const finished = Promise.withResolvers<void>()
let clock = startClock()
let stopProfile = () => {}
let confirmed = 0

const relay = createRelay({
  databaseUrl,
  rabbitmqUrl,
  lane: lane.name,
  adopt: false,
  window,
  observe: (observation) => {
    switch (observation.kind) {
      case 'relay.owned':
        if (profileTo !== null) stopProfile = recordProfile(profileTo)
        clock = startClock()
        break
      case 'relay.batch':
        // Told after the batch's rows are deleted.
        confirmed += observation.confirmed
        if (confirmed === rows) {
          clock.done(confirmed)
          stopProfile()
          finished.resolve()
        }
        break
      case 'relay.lost':
      case 'relay.refused':
      case 'relay.failed':
      case 'database.unavailable':
      case 'broker.unavailable':
      case 'broker.lost':
      case 'broker.channel-closed':
      case 'broker.blocked':
        process.stderr.write(`${JSON.stringify(observation)}\n`)
        break
      default:
        break
    }
  },
})
process.on('SIGTERM', finished.resolve)
const progress = setInterval(
  () => say({ kind: 'progress', rows: confirmed, ms: clock.ms(), rss: process.memoryUsage.rss() }),
  progressMs,
)
await relay.start()
await finished.promise
clearInterval(progress)
await relay.stop({ graceMs: 5_000 })
