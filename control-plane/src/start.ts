import { stat } from 'node:fs/promises'
import { migrate } from '@esteira/migrations/migrate'
import { queryable, registerLane } from '@esteira/outbox'
import { type Log, type Running, untilAvailable } from '@esteira/service'
import {
  cronJobFunction,
  expectSettings,
  isTransientHere,
  openOrm,
  probeTimes,
  publishFunctions,
} from '@esteira/workflow'
import type { MikroORM } from '@mikro-orm/postgresql'
import type { Config } from './config.ts'
import { startScheduler } from './cron/scheduler.ts'
import type { TickProgram } from './cron/tick-runner.ts'
import { startWatchingTicks } from './cron/watch-ticks.ts'
import { startCancellingRuns } from './duties/cancel-runs.ts'
import { startDroppingHiddenPages } from './duties/drop-hidden-pages.ts'
import { startDroppingItemKeys } from './duties/drop-item-keys.ts'
import { startProbingQueues } from './duties/probe-queues.ts'
import { startPublishingFunctions } from './duties/publish-functions.ts'
import { startReleasingJobs } from './duties/release-jobs.ts'
import { startSettlingRuns } from './duties/settle-runs.ts'
import { ControlPlaneError } from './errors.ts'
import { createApp } from './http/app.ts'
import { serve } from './http/serve.ts'
import { type ControlPlaneEvent, writeEvent } from './log-events.ts'
import type { Loop } from './loop.ts'
import { createMetrics } from './metrics.ts'

/** Requests and duties share it; the workers and relays of a small server need connections too. */
const poolSize = 10

type Means = {
  config: Config
  log: Log
  signal: AbortSignal
  path: string | undefined
  /** The variables by which the cron-job program traces. */
  traces: Record<string, string>
}

/** Starts the control plane: the tables first, then its own row among the lanes, the API, and what runs by itself. */
export const startControlPlane = async ({ config, log, signal, path, traces }: Means): Promise<Running> => {
  const { databaseUrl, adminToken, maxPayloadBytes, consumerTimeoutMs, graceMs, cron } = config
  const startTicking = await readyToTick(config, { path, traces })
  await untilMigrated(config, log, signal)

  const metrics = createMetrics()
  const write = writeEvent(log)
  const observe = (event: ControlPlaneEvent): void => {
    metrics.count(event)
    write(event)
  }
  const orm = openOrm({ databaseUrl, poolSize, applicationName: 'control-plane' })
  const parts: { stop: () => Promise<void> }[] = []
  const stop = async (): Promise<void> => {
    // All at once: the grace period is theirs together. The pool goes last, when nobody uses it any more.
    const ends = await Promise.allSettled(parts.map((part) => part.stop()))
    await orm.close()
    for (const end of ends) if (end.status === 'rejected') throw end.reason
  }
  try {
    const lane = await untilRegistered(orm, config, log, signal)
    parts.push(
      startSettlingRuns(orm, observe),
      startCancellingRuns(orm, observe),
      startReleasingJobs(orm, lane, observe),
      startProbingQueues({ orm, lane, times: probeTimes(consumerTimeoutMs), observe }),
      startDroppingHiddenPages(orm, observe),
      startDroppingItemKeys(orm, observe),
      startPublishingFunctions(orm, observe),
    )
    const ticking = startTicking(orm, observe)
    if (ticking !== null) parts.push(ticking, startWatchingTicks(orm, observe))
    const onSaved = (): void => ticking?.wake()
    const context = { orm, lane, worker: config.lane, maxPayloadBytes, onSaved, cron: cron.by, metrics: metrics.text }
    const app = createApp({ ...context, adminToken, observe })
    const serving = await serve({ fetch: app.fetch, host: config.httpHost, port: config.httpPort, graceMs })
    parts.push(serving)
    log.info({ event: 'ready', url: serving.url, cron: cron.by })
    return { stop }
  } catch (error) {
    await stop()
    throw error
  }
}

type StartTicking = (orm: MikroORM, observe: (event: ControlPlaneEvent) => void) => Loop | null

/** Whoever fires ticks, ready to be started. What is missing for it is told before anything else begins. */
const readyToTick = async (config: Config, around: Pick<Means, 'path' | 'traces'>): Promise<StartTicking> => {
  const { cron, databaseUrl, graceMs } = config
  switch (cron.by) {
    case 'off':
      return () => null
    case 'local': {
      await checkProgram(cron.program)
      const program = programOf(cron, config, around)
      return (orm, observe) => startScheduler({ orm, program, graceMs, observe })
    }
    case 'kubernetes': {
      // What it takes is loaded only here: without a cluster nobody pays for it.
      const { openKubernetes } = await import('./reconciler/open-kubernetes.ts')
      const kubernetes = await openKubernetes(cron)
      return (orm, observe) => kubernetes.start({ orm, databaseUrl, graceMs, observe })
    }
  }
}

const programOf = (
  cron: { program: string; lane: string },
  { databaseUrl, maxPayloadBytes, logLevel }: Config,
  { path, traces }: Pick<Means, 'path' | 'traces'>,
): TickProgram => ({
  path: cron.program,
  env: {
    ...traces,
    DATABASE_URL: databaseUrl,
    ESTEIRA_LANE: cron.lane,
    ESTEIRA_LOG_LEVEL: logLevel,
    ESTEIRA_MAX_PAYLOAD_BYTES: String(maxPayloadBytes),
    ...(path === undefined ? {} : { PATH: path }),
  },
})

const untilMigrated = async ({ databaseUrl }: Config, log: Log, signal: AbortSignal): Promise<void> => {
  // A migration that fails for its own sake would fail for ever.
  await untilAvailable({ what: 'Postgres', url: databaseUrl, log, signal, mayPass: isTransientHere }, () =>
    migrate(databaseUrl, (file) => log.info({ event: 'migration.applied', file })),
  )
}

const untilRegistered = (orm: MikroORM, config: Config, log: Log, signal: AbortSignal): Promise<number> =>
  untilAvailable({ what: 'Postgres', url: config.databaseUrl, log, signal }, async () => {
    await expectSettings(orm.em.fork())
    // Before the first request: a workflow may come with it.
    await publishFunctions(orm.em.fork(), [cronJobFunction])
    return registerLane(queryable(orm.em.fork()), config.lane)
  })

const checkProgram = async (program: string): Promise<void> => {
  const found = await stat(program).then(
    (file) => file.isFile(),
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return false
      throw error
    },
  )
  if (!found) throw new ControlPlaneError('cron_program_missing', `ESTEIRA_CRON_PROGRAM: there is no file ${program}`)
}
