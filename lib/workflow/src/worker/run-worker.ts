import { hostname } from 'node:os'
import {
  type Config,
  createLog,
  integer,
  loadConfigs,
  type Log,
  logLevels,
  oneOf,
  postgresUrl,
  rabbitmqUrl,
  runMain,
  secretVariables,
  type Settings,
  text,
} from '@esteira/service'
import type { SpanContext } from '@opentelemetry/api'
import { WorkflowError } from '../errors.ts'
import type { StepFunction } from '../function/define-function.ts'
import { maxPayloadRange } from '../job/payload-limit.ts'
import { readSecrets } from '../secrets/read-secrets.ts'
import { idsOf } from '../trace/log-of-job.ts'
import { startWorker } from './start-worker.ts'
import type { WorkerEvent } from './worker-options.ts'

/** The settings of a worker process. */
const settings = {
  databaseUrl: postgresUrl('DATABASE_URL'),
  rabbitmqUrl: rabbitmqUrl('RABBITMQ_URL'),
  lane: text('ESTEIRA_LANE', { fallback: hostname() }),
  prefetch: integer('ESTEIRA_PREFETCH', { min: 1, max: 10_000, fallback: 100 }),
  maxPayloadBytes: integer('ESTEIRA_MAX_PAYLOAD_BYTES', maxPayloadRange),
  graceMs: integer('ESTEIRA_GRACE_MS', { min: 0, max: 600_000, fallback: 25_000 }),
  secretsDir: text('ESTEIRA_SECRETS_DIR', { fallback: '/run/secrets' }),
  secretVariables,
  logLevel: oneOf('ESTEIRA_LOG_LEVEL', logLevels, { fallback: 'info' }),
}

/** The functions of a worker process, and what to free when it ends. */
export type Served = { functions: readonly StepFunction[]; close?: () => Promise<void> }

/**
 * What the process gives its functions. `stopping` is aborted as soon as the worker is asked to stop, when what runs may
 * still end within the grace period: a function that would only wait gives up.
 */
export type ServeMeans = { log: Log; stopping: AbortSignal }

/** A worker whose functions need settings of their own, or something that is freed when the worker ends. */
export type WorkerDefinition<Own extends Settings> = {
  /** Who speaks in the log, and in traces with `esteira-` before it. */
  name: string
  /** The functions' own settings. They are read together with the worker's, so all faults are told at once. */
  settings: Own
  serve: (config: Config<Own>, means: ServeMeans) => Served
}

/**
 * Runs a worker process until it is asked to stop, and resolves to its exit code. It serves functions as they are, one or
 * several, or what its definition makes of settings.
 */
export const runWorker = <Own extends Settings>(
  worker: readonly StepFunction[] | WorkerDefinition<Own>,
  env: NodeJS.ProcessEnv,
): Promise<number> => ('serve' in worker ? run(worker, env) : run(serving(worker), env))

/** A worker without settings; one with a single function is named after it. */
const serving = (functions: readonly StepFunction[]): WorkerDefinition<Settings> => ({
  name: (functions.length === 1 && functions[0]?.name) || 'worker',
  settings: {},
  serve: () => ({ functions }),
})

const run = <Own extends Settings>(
  { name, settings: own, serve }: WorkerDefinition<Own>,
  env: NodeJS.ProcessEnv,
): Promise<number> =>
  runMain((stopping) => {
    const [config, ownConfig] = loadConfigs(env, settings, own)
    const log = createLog(name, config.logLevel)
    const { functions, close } = serve(ownConfig, { log, stopping })
    return {
      log,
      traces: { service: `esteira-${name}`, env },
      start: async (signal) => {
        refuseNames(functions)
        const worker = await startWorker({
          ...config,
          functions,
          worker: config.lane,
          secrets: readSecrets({ directory: config.secretsDir, variables: config.secretVariables }),
          log,
          signal,
          observe: (event) => report(log, event),
        })
        log.info({ event: 'ready', functions: functions.map((fn) => fn.name), lane: config.lane })
        return {
          stop: async () => {
            await worker.stop()
            await close?.()
          },
        }
      },
    }
  })

/** A name is a queue, which one function answers for. */
const refuseNames = (functions: readonly StepFunction[]): void => {
  const names = functions.map(({ name }) => name)
  if (names.length === 0) throw new WorkflowError('function_invalid', 'a worker needs a function to serve')
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new WorkflowError('function_invalid', `two functions are named "${twice}"`)
}

const report = (log: Log, { kind, ...told }: WorkerEvent): void => {
  const fields = 'place' in told ? placed(told) : told
  const line = { event: kind, ...fields }
  switch (kind) {
    case 'job.written':
      if ('error' in fields) log.warn(line)
      else log.debug(line)
      break
    case 'belt.back':
    case 'delivery.dropped':
      log.info(line)
      break
    case 'settle.failed':
    case 'beat.failed':
    case 'belt.lost':
    case 'belt.fault':
    case 'belt.unreadable':
    case 'database.unavailable':
      log.warn(line)
      break
    case 'function.abandoned':
    case 'function.stuck':
    case 'probe.unanswered':
    case 'commit.refused':
    case 'delivery.handed-back':
      log.error(line)
      break
  }
}

const placed = <Told extends { place?: SpanContext }>({ place, ...told }: Told) => ({
  ...(place && idsOf(place)),
  ...told,
})
