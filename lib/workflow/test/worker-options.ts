import { readSecrets, type StepFunction, type WorkerOptions } from '../src/index.ts'

const silent = () => {}

/** Says nothing: what a test looks at are rows, messages and events. */
export const silentLog = { debug: silent, info: silent, warn: silent, error: silent }

type Given = Pick<WorkerOptions, 'databaseUrl' | 'lane'> &
  Partial<WorkerOptions> & { functions: readonly StepFunction[] }

/** What a worker needs, with what a test has not given: no broker, no secrets, no log, and nobody who hears of it. */
export const workerOptions = (given: Given): WorkerOptions => ({
  rabbitmqUrl: 'amqp://nobody',
  worker: 'worker',
  prefetch: 100,
  graceMs: 0,
  secrets: readSecrets({ directory: '/nowhere', variables: new Map() }),
  log: silentLog,
  observe: silent,
  signal: new AbortController().signal,
  ...given,
})
