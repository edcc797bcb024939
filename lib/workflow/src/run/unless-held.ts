import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { isLockedOut } from '../database/is-transient.ts'
import { withinLockLimit } from '../job/unit/limit-lock-waits.ts'

/**
 * Somebody holds a workflow, a run or a job of it locked, so that nothing was written: by its process id the session of
 * Postgres that does; null where that is not found, as among several that share the lock, or since it has just released it.
 */
export type HeldBy = { heldBy: number | null }

/** Says who holds what locked. */
export const heldText = (what: string, { heldBy }: HeldBy): string => {
  const holder = heldBy === null ? 'Somebody' : `Session ${heldBy} of Postgres`
  return `${holder} holds ${what} locked: an open transaction is expected to be over within two seconds`
}

/** What somebody may hold: a workflow with its open runs, a run with its counters, or a job with its run. */
type Holdable = { workflowId: string } | { runId: string } | { jobId: string }

/** Writes something of a workflow or a run, and waits for locks for two seconds each, as whoever asked waits for it. */
export const unlessHeld = async <T>(
  em: EntityManager,
  of: Holdable,
  write: (em: EntityManager) => Promise<T>,
): Promise<T | HeldBy> => {
  try {
    return await withinLockLimit(em, write)
  } catch (error) {
    if (!isLockedOut(error)) throw error
    const { workflowId, runId, jobId } = { workflowId: null, runId: null, jobId: null, ...of }
    const { rows } = await queryable(em).query(holderSql, [runId, jobId, workflowId])
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
    union all
    select workflow.xmax from workflow where workflow.id = $3::uuid
    union all
    select run.xmax from workflow_run run where run.workflow_id = $3::uuid and run.status in ('running', 'cancelling')
  )
  limit 1`

const holderRows = z.array(z.object({ pid: z.int() }))
