import { hostname } from 'node:os'
import { queryable, registerLane } from '@esteira/outbox'
import {
  type Config,
  createLog,
  exitCodes,
  instant,
  integer,
  laneName,
  loadConfig,
  type Log,
  logLevels,
  oneOf,
  postgresUrl,
  runMain,
  untilAvailable,
  uuid,
} from '@esteira/service'
import {
  expectMigrated,
  expectSettings,
  isTransientHere,
  maxPayloadRange,
  openOrm,
  WorkflowError,
} from '@esteira/workflow/tick'
import { refusalCode, tickExitCodes } from './exit-codes.ts'
import { isBeforeSchedule, isRepeated, tickKey } from './tick-key.ts'
import { tickSchedule, tickTimeZone } from './tick-schedule.ts'
import { fireTick, type Tick } from './tick.ts'

const settings = {
  databaseUrl: postgresUrl('DATABASE_URL'),
  lane: laneName('ESTEIRA_LANE', { fallback: hostname() }),
  stepId: uuid('ESTEIRA_STEP_ID'),
  key: tickKey,
  since: instant('ESTEIRA_TICK_SINCE', { fallback: null }),
  schedule: tickSchedule,
  timeZone: tickTimeZone,
  maxPayloadBytes: integer('ESTEIRA_MAX_PAYLOAD_BYTES', maxPayloadRange),
  logLevel: oneOf('ESTEIRA_LOG_LEVEL', logLevels, { fallback: 'info' }),
}

const fire = async (
  config: Omit<Config<typeof settings>, 'logLevel'>,
  log: Log,
  signal: AbortSignal,
): Promise<number> => {
  const { databaseUrl, stepId, key, since, schedule, timeZone, maxPayloadBytes } = config
  const fields = { stepId, key }
  if (since !== null && isBeforeSchedule(key, since)) {
    log.info({ event: 'tick.before-schedule', ...fields, since })
    return exitCodes.ok
  }
  if (schedule !== '' && isRepeated(key, { schedule, timeZone })) {
    log.info({ event: 'tick.repeated', ...fields, schedule, timeZone })
    return exitCodes.ok
  }
  const orm = openOrm({ databaseUrl, poolSize: 1, applicationName: 'cron-job' })
  try {
    const postgres = { what: 'Postgres', url: databaseUrl, log, signal, mayPass }
    const lane = await untilAvailable(postgres, async () => {
      await expectMigrated(orm.em.fork())
      await expectSettings(orm.em.fork())
      return registerLane(queryable(orm.em.fork()), config.lane)
    })
    const tick: Tick = { stepId, key, maxPayloadBytes, lane, worker: config.lane }
    // Its step is read anew each time, by the version that the workflow has then.
    const fired = await untilAvailable({ ...postgres, mayPass: isBusy }, () => fireTick(orm.em.fork(), tick))
    const { runId, created, skipped, error } = fired
    if (error !== null) {
      log.error({ event: 'tick.failed', ...fields, runId, code: error.code, reason: error.message })
      return tickExitCodes.payloadDoesNotFit
    }
    log.info({ event: skipped ? 'tick.skipped' : created ? 'tick.fired' : 'tick.seen', ...fields, runId })
    return exitCodes.ok
  } catch (error) {
    // Asked to stop before the tick was written: whoever started it must know that it was not.
    if (signal.aborted) return exitCodes.failed
    if (!(error instanceof WorkflowError)) throw error
    log.error({ event: 'tick.refused', ...fields, code: error.code, reason: error.message })
    return refusalCode(error)
  } finally {
    await orm.close()
  }
}

/**
 * A tick may be started by the template of a version whose control plane has yet to migrate, and somebody may set right
 * what a database has set wrong.
 */
const mayPass = (error: unknown): boolean =>
  isTransientHere(error) ||
  (error instanceof WorkflowError && ['database_behind', 'database_settings'].includes(error.code))

/** Somebody holds the workflow locked. It is waited for as long as the Job may take, or whoever started the program lets it. */
const isBusy = (error: unknown): boolean => error instanceof WorkflowError && error.code === 'workflow_busy'

process.exitCode = await runMain(() => {
  const config = loadConfig(process.env, settings)
  const log = createLog('cron-job', config.logLevel)
  return {
    log,
    traces: { service: 'esteira-cron-job', env: process.env },
    start: async (signal) => ({ ended: fire(config, log, signal), stop: async () => {} }),
  }
})
