import { functionOf, silentLog } from './engine.ts'
import { readSecrets, startWorker } from '../src/index.ts'

/**
 * A worker as a process of its own, to be killed. Its function gives two items; a payload `hang` keeps it busy for good.
 * Arguments: addresses of Postgres and RabbitMQ, lane, name of the function.
 */
const [databaseUrl = '', rabbitmqUrl = '', lane = '', functionName = ''] = process.argv.slice(2)

await startWorker({
  databaseUrl,
  rabbitmqUrl,
  lane,
  worker: 'to be killed',
  prefetch: 10,
  graceMs: 5_000,
  secrets: readSecrets({ directory: '/nowhere', variables: new Map() }),
  log: silentLog,
  signal: new AbortController().signal,
  functions: [
    functionOf(functionName, ({ attempt, payload }) =>
      payload === 'hang' && attempt === 1 ? new Promise(() => {}) : ['a', 'b'],
    ),
  ],
  observe: (event) => process.stdout.write(`${event.kind}\n`),
})
process.stdout.write('started\n')
