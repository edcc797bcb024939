import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { isLockedOut } from '../database/is-transient.ts'
import { limitLockWaits } from '../job/unit/limit-lock-waits.ts'

/**
 * Somebody holds a run, or a job of it, locked, so that nothing was written: by its process id the session of Postgres that
 * does; null where that is not found, as among several that share the lock, or since it has just released it.
 */
export type HeldBy = { heldBy: number | null }

/** Writes something of a run in a transaction that waits for locks for two seconds each, as whoever asked waits for it. */
export const unlessHeld = async <T>(
  em: EntityManager,
  of: { runId: string } | { jobId: string },
  write: (em: EntityManager) => Promise<T>,
): Promise<T | HeldBy> => {
  try {
    return await em.transactional(async (em) => {
      await limitLockWaits(em)
      return write(em)
    })
  } catch (error) {
    if (!isLockedOut(error)) throw error
    const [runId, jobId] = 'runId' in of ? [of.runId, null] : [null, of.jobId]
    const { rows } = await queryable(em).query(holderSql, [runId, jobId])
    return { heldBy: holderRows.parse(rows)[0]?.pid ?? null }
  }
}

// Whoever has a row locked is named by its `xmax`, unless several share that.
const holderSql = `
  with held as (
    select coalesce($1::uuid, (select run_id from workflow_job where id = $2::uuid)) as run_id
  )
  select lock.pid from pg_locks lock
  where lock.locktype = 'transactionid' and lock.granted and lock.transactionid in (
    select run.xmax from workflow_run run join held on run.id = held.run_id
    union all
    select counted.xmax from workflow_run_step counted join held using (run_id)
    union all
    select job.xmax from workflow_job job where job.id = $2::uuid
  )
  limit 1`

const holderRows = z.array(z.object({ pid: z.int() }))
