import type { MikroORM } from '@mikro-orm/postgresql'
import { openOrm } from '../database/open-orm.ts'
import type { StepFunction } from '../function/define-function.ts'
import type { WorkerOptions } from './worker-options.ts'

/** The sessions with Postgres that a worker has, by what they are for. */
export type Pools = {
  orm: MikroORM
  /** Of its own: when all of the pool waits for a lock or for Postgres, a cancel must still get through. */
  beatOrm: MikroORM
  /** Of their own too: functions keep these sessions for as long as they run, and set in them what they like. */
  ownOrm: MikroORM
  /** For what is written of the jobs of such functions beside their units of work, as that they run. */
  besideOrm: MikroORM
  close: () => Promise<void>
}

/**
 * Groups of a function that commit, or claim, or pages, at once: while one waits for a lock or a slow disk, the next
 * may pass.
 */
export const groupsAtOnce = 2

/**
 * Of a function two groups of each may be under way: commits, claims and pages. Of all functions together two find jobs and
 * two read payloads, and one each asks for a job that was given up alone, looks for locks that commits, claims and pages
 * wait for, looks for those of runs that are to be settled, reads steps, and settles runs. Each of these may be stuck, and
 * the others still have a session. What else goes over the pool waits for nothing that a job needs, and has a session of those
 * that are not at work: whether a job is held locked, messages for later, answers to probes, and what the functions are.
 */
const poolSizeFor = (functions: number): number => 2 * groupsAtOnce + 5 + 3 * groupsAtOnce * functions

/** Units of work of their own at a time, of one function. */
export const ownUnitsAtOnce = 8

/**
 * Deliveries of such a function that are in hand at most, whatever the worker was told. Each has its place for half a minute
 * while somebody holds its job, half a minute of its function, and ten seconds while somebody holds its run. So the last of
 * them is through after 27 minutes: within the half hour after which RabbitMQ takes a delivery back, and for which it looks
 * once a minute.
 */
export const mostOwnInHand = 184

/** Sessions for the functions that have units of their own, and as many beside those; each is opened when it is needed. */
export const ownPoolSizeFor = (functions: readonly Pick<StepFunction, 'unit'>[]): number =>
  ownUnitsAtOnce * Math.max(1, functions.filter(({ unit }) => unit === 'own').length)

/** A beat that is not answered by then is given up, milliseconds; the next one goes over a session of its own. */
const beatSilenceMs = 5_000

export const openPools = ({ databaseUrl, worker, functions }: WorkerOptions, severed: AbortSignal): Pools => {
  const options = { databaseUrl, applicationName: worker, severed }
  const orm = openOrm({ ...options, poolSize: poolSizeFor(functions.length) })
  const beatOrm = openOrm({ ...options, poolSize: 1, silenceMs: beatSilenceMs })
  const known = functions.flatMap(({ entities }) => entities)
  const ownPoolSize = ownPoolSizeFor(functions)
  const ownOrm = openOrm({ ...options, poolSize: ownPoolSize, known })
  const besideOrm = openOrm({ ...options, poolSize: ownPoolSize })
  const close = async () => {
    await Promise.all([orm.close(), ownOrm.close(), besideOrm.close()])
    // Last: it ends sessions of the others that are in the middle of a statement.
    await beatOrm.close()
  }
  return { orm, beatOrm, ownOrm, besideOrm, close }
}
