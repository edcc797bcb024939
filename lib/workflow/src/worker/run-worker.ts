import { once } from 'node:events'
import { hostname } from 'node:os'
import { constrainedMemory, exit } from 'node:process'
import { getHeapStatistics } from 'node:v8'
import {
  type Config,
  createLog,
  exitCodes,
  integer,
  laneName,
  loadConfigs,
  type Log,
  logLevels,
  oneOf,
  postgresUrl,
  rabbitmqUrl,
  runMain,
  type Running,
  secretVariables,
  serveHealth,
  type Settings,
  text,
} from '@esteira/service'
import { WorkflowError } from '../errors.ts'
import type { StepFunction } from '../function/define-function.ts'
import { maxPayloadRange } from '../payload/payload-limit.ts'
import { readSecrets, type Secrets } from '../secrets/read-secrets.ts'
import { type Counters, createCounters } from './counters.ts'
import { logEvent } from './log-event.ts'
import { watchStall } from './stall/watch-stall.ts'
import { startWorker } from './start-worker.ts'
import { serveWard } from './suspect/serve-ward.ts'
import { mostOfWardMiB } from './suspect/ward-memory.ts'
import { wardVariable, type WardProgram } from './suspect/ward.ts'

/** The settings of a worker process. */
const settings = {
  databaseUrl: postgresUrl('DATABASE_URL'),
  rabbitmqUrl: rabbitmqUrl('RABBITMQ_URL'),
  lane: laneName('ESTEIRA_LANE', { fallback: hostname() }),
  prefetch: integer('ESTEIRA_PREFETCH', { min: 1, max: 10_000, fallback: 100 }),
  maxPayloadBytes: integer('ESTEIRA_MAX_PAYLOAD_BYTES', maxPayloadRange),
  graceMs: integer('ESTEIRA_GRACE_MS', { min: 0, max: 600_000, fallback: 25_000 }),
  stallMs: integer('ESTEIRA_STALL_MS', { min: 1_000, max: 600_000, fallback: 30_000 }),
  suspectHeapMiB: integer('ESTEIRA_SUSPECT_HEAP_MIB', { min: 32, max: 65_536, fallback: null }),
  secretsDir: text('ESTEIRA_SECRETS_DIR', { fallback: '/run/secrets' }),
  secretVariables,
  healthHost: text('ESTEIRA_HEALTH_HOST', { fallback: '127.0.0.1' }),
  /** No port, no server. */
  healthPort: integer('ESTEIRA_HEALTH_PORT', { min: 1, max: 65_535, fallback: null }),
  logLevel: oneOf('ESTEIRA_LOG_LEVEL', logLevels, { fallback: 'info' }),
}

/** The functions of a worker process, and what to free when it ends. */
export type Served = { functions: readonly StepFunction[]; close?: () => Promise<void> }

/**
 * What the process gives its functions. `stopping` is aborted as soon as the worker is asked to stop, when what runs may
 * still end within the grace period: a function that would only wait gives up. `count` counts one more of something that
 * the worker's `/metrics` shows: a name such as `esteira_statements_failed_total`, and labels of few values each.
 * `secrets` gives those of the worker, by names that no config has to tell; unlike what a config names with `$secret`,
 * nothing hides them but the function.
 */
export type ServeMeans = { log: Log; stopping: AbortSignal; count: Counters['count']; secrets: Secrets }

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
 *
 * The program is started a second time, beside itself, for jobs that may have killed it: what it does beside this call it
 * does there too.
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

/**
 * How long a process stays after all is done, milliseconds: what it still has to write goes out, but what a function
 * began and left, such as one that does not hear its signal, must not keep it until it is killed.
 */
const lingerMs = 1_000

const run = async <Own extends Settings>(worker: WorkerDefinition<Own>, env: NodeJS.ProcessEnv): Promise<number> => {
  const code = await runUntilStopped(worker, env)
  setTimeout(() => exit(code), lingerMs).unref()
  return code
}

const runUntilStopped = <Own extends Settings>(
  { name, settings: own, serve }: WorkerDefinition<Own>,
  env: NodeJS.ProcessEnv,
): Promise<number> =>
  runMain((stopping) => {
    const { [wardVariable]: isWard, ...ownEnv } = env
    const [config, ownConfig] = loadConfigs(ownEnv, settings, own)
    const log = createLog(name, config.logLevel)
    const counters = createCounters()
    const secrets = readSecrets({ directory: config.secretsDir, variables: config.secretVariables })
    const { functions, close } = serve(ownConfig, { log, stopping, count: counters.count, secrets })
    const common = { ...config, functions, worker: config.lane, secrets, log }
    const start = async (signal: AbortSignal): Promise<Running> => {
      if (isWard !== undefined) return serveWard(common)
      let isStarted = false
      const health = {
        isReady: () => isStarted && counters.isOnBelt() && !stopping.aborted,
        metrics: async () => counters.text(),
      }
      if (config.healthPort !== null) await serveHealth(health, config.healthHost, config.healthPort)
      const worker = await startWorker({
        ...common,
        ward: { program: ownProgram(ownEnv), stallMs: config.stallMs, ...wardMemory(config.suspectHeapMiB) },
        signal,
        observe: (event) => {
          counters.observe(event)
          logEvent(log, event)
        },
      })
      isStarted = true
      log.info({ event: 'ready', functions: functions.map((fn) => fn.name), lane: config.lane })
      const isAsked = stopping.aborted ? Promise.resolve() : once(stopping, 'abort')
      const codes = [isAsked.then(() => exitCodes.ok), worker.stuck.then(() => exitCodes.failed)]
      return { stop: worker.stop, ended: Promise.race(codes) }
    }
    return {
      log,
      traces: { service: `esteira-${name}`, env: ownEnv },
      start: async (signal) => {
        refuseNames(functions)
        // A ward is ended by its worker, which says why; by itself only when that is gone.
        const watch = watchStall({ name, stallMs: isWard === undefined ? config.stallMs : 2 * config.stallMs })
        const running = await start(signal)
        return {
          ...running,
          stop: async () => {
            await running.stop()
            await close?.()
            watch.stop()
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

/** This process's program, as it was started. */
const ownProgram = (env: NodeJS.ProcessEnv): WardProgram => {
  const [, path = '', ...args] = process.argv
  return { path, args, execArgv: process.execArgv, env }
}

/** A job alone may take half of what all the jobs of a worker may take, so that both fit where the worker does. */
const wardMemory = (setMiB: number | null): { heapMiB: number; mostMiB: number } => {
  const heapMiB = setMiB ?? Math.max(32, Math.floor(getHeapStatistics().heap_size_limit / 2 / 1_048_576))
  // Node tells 0 where it does not know of a limit.
  return { heapMiB, mostMiB: mostOfWardMiB(heapMiB, constrainedMemory() || Infinity) }
}
