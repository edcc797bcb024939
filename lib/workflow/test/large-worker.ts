import { peakMemoryMiB } from '@esteira/test/peak-memory'
import { startWorker } from '../src/index.ts'
import { functionOf } from './engine.ts'
import { workerOptions } from './worker-options.ts'

/**
 * A worker as a process of its own, to see what it takes of memory. Its function gives a text as large as the one it
 * gets, and of anything else as much as it gets. For each job that is written it says the most memory that was resident
 * so far, MiB. Arguments: addresses of Postgres and RabbitMQ, lane, name of the function, prefetch.
 */
const [databaseUrl = '', rabbitmqUrl = '', lane = '', functionName = '', prefetch = ''] = process.argv.slice(2)

await startWorker(
  workerOptions({
    databaseUrl,
    rabbitmqUrl,
    lane,
    worker: 'large',
    prefetch: Number(prefetch),
    graceMs: 5_000,
    functions: [
      functionOf(functionName, ({ payload }) => (typeof payload === 'string' ? `${payload.slice(1)}!` : payload)),
    ],
    observe: ({ kind }) => {
      if (kind === 'job.written') process.stdout.write(`${peakMemoryMiB()}\n`)
      else process.stderr.write(`${kind}\n`)
    },
  }),
)
