import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { isLockedOut } from '../database/is-transient.ts'
import { type RunStatus, runStatuses } from '../model/run-status.ts'
import { fromTheStart, cancelAllJobs, cancelJobs } from './settle/cancel-jobs.ts'
import { endIfFree, endIfOver } from './settle/settle.ts'
import { type HeldBy, unlessHeld } from './unless-held.ts'

/**
 * Cancels a run, and resolves to the status that it has then; null if there is no such run, and its end for one that is
 * over. Where somebody holds the run locked nothing is written. A run of a few jobs that wait is `cancelled` at once.
 * Otherwise it is `cancelling`: its functions are told to end, and `carryOnCancels` does the rest.
 */
export const cancelRun = async (em: EntityManager, runId: string): Promise<RunStatus | HeldBy | null> => {
  const status = await beginCancel(em, runId)
  if (status !== 'cancelling') return status
  return (await cancelSome(em, runId)) ? 'cancelled' : status
}

/** Whether that was all of the run; what somebody holds locked is left to `carryOnCancels`. */
const cancelSome = async (em: EntityManager, runId: string): Promise<boolean> => {
  try {
    await cancelJobs(em, runId, fromTheStart)
    return (await endIfOver(em, [runId], { limitsWaits: true })).length > 0
  } catch (error) {
    if (!isLockedOut(error)) throw error
    return false
  }
}

/**
 * Marks a run `cancelling`, in a commit of its own: from then on its jobs stage no others, and whatever is cut short
 * behind this is taken up again. Resolves to the status that the run has, or to who holds it locked.
 */
export const beginCancel = async (em: EntityManager, runId: string): Promise<RunStatus | HeldBy | null> => {
  const marked = await unlessHeld(em, { runId }, (em) => queryable(em).query(markSql, [runId]))
  if ('heldBy' in marked) return marked
  const { rows } = await queryable(em).query(`select status from workflow_run where id = $1`, [runId])
  return statusRows.parse(rows)[0]?.status ?? null
}

const markSql = `update workflow_run set status = 'cancelling' where id = $1 and status = 'running'`

/** Until when the jobs of a run are not looked through again, by its id; as `performance.now()` has it. */
export type Rests = Map<string, number>

/**
 * A look through a run that found nothing is not repeated before so many times its own time: of a million jobs that are over,
 * and one whose function still runs, each is read every time.
 */
const restsPerLook = 20

/** So long is a run left alone whose locks were waited for in vain, milliseconds: others have their turns in between. */
const heldRestMs = 10_000

/**
 * Takes up the cancels that are not through, the oldest first: of each run all that waits is cancelled, and the run ends
 * when nothing is open. A run with functions that still run stays for the next time, and so does one that somebody holds
 * locked. Returns how many jobs were cancelled. `rests` is what whoever calls it again and again keeps between the calls.
 */
export const carryOnCancels = async (em: EntityManager, rests: Rests = new Map()): Promise<number> => {
  const { rows } = await queryable(em).query(`select id from workflow_run where status = 'cancelling' order by id`, [])
  const open = runRows.parse(rows).map(({ id }) => id)
  for (const id of rests.keys()) if (!open.includes(id)) rests.delete(id)
  let jobs = 0
  for (const id of open) {
    const begun = performance.now()
    if ((rests.get(id) ?? 0) <= begun) {
      const cancelled = await cancelUnlessHeld(em, id)
      const ended = performance.now()
      if (cancelled === 'held') rests.set(id, ended + heldRestMs)
      else if (cancelled === 0) rests.set(id, ended + restsPerLook * (ended - begun))
      else jobs += cancelled
    }
    await endIfFree(em, [id])
  }
  return jobs
}

const cancelUnlessHeld = async (em: EntityManager, runId: string): Promise<number | 'held'> => {
  try {
    return await cancelAllJobs(em, runId)
  } catch (error) {
    if (isLockedOut(error)) return 'held'
    throw error
  }
}

const statusRows = z.array(z.object({ status: z.enum(runStatuses) }))
const runRows = z.array(z.object({ id: z.string() }))
