import { readSecrets, startWorker, type StepFunction, type WorkerOptions } from '../src/index.ts'
import { silentLog } from './engine.ts'

/** The first arguments of such a program: addresses of Postgres and RabbitMQ, and the lane. */
const [databaseUrl = '', rabbitmqUrl = '', lane = ''] = process.argv.slice(2)

/** Makes this process a worker that is to be killed. Its lines are the kinds of what it observes, and `started`. */
export const runWorkerToKill = async (
  fn: StepFunction,
  options: Pick<WorkerOptions, 'pageItems'> = {},
): Promise<void> => {
  await startWorker({
    databaseUrl,
    rabbitmqUrl,
    lane,
    worker: 'to be killed',
    prefetch: 10,
    graceMs: 5_000,
    secrets: readSecrets({ directory: '/nowhere', variables: new Map() }),
    log: silentLog,
    ...options,
    signal: new AbortController().signal,
    functions: [fn],
    observe: (event) => process.stdout.write(`${event.kind}\n`),
  })
  process.stdout.write('started\n')
}
