import { startWorker, type StepFunction, type WorkerEvent, type WorkerOptions } from '../src/index.ts'
import { workerOptions } from './worker-options.ts'

/** The first arguments of such a program: addresses of Postgres and RabbitMQ, and the lane. */
const [databaseUrl = '', rabbitmqUrl = '', lane = ''] = process.argv.slice(2)

const observe = ({ kind }: WorkerEvent) => process.stdout.write(`${kind}\n`)

/** Makes this process a worker that is to be killed. Its lines are the kinds of what it observes, and `started`. */
export const runWorkerToKill = async (
  fn: StepFunction,
  options: Pick<WorkerOptions, 'pageItems'> = {},
): Promise<void> => {
  const at = { databaseUrl, rabbitmqUrl, lane }
  const how = { worker: 'to be killed', prefetch: 10, graceMs: 5_000, ...options }
  await startWorker(workerOptions({ ...at, ...how, functions: [fn], observe }))
  process.stdout.write('started\n')
}
