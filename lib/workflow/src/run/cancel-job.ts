import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { isLockedOut } from '../database/is-transient.ts'
import { endIfOver } from './settle/settle.ts'
import { statusesBefore } from '../job/transitions.ts'
import { type JobStatus, jobStatuses } from '../model/job-status.ts'
import { gatherMoves, moveCounters } from '../job/unit/move-counters.ts'
import { unlessHeld } from './unless-held.ts'

/**
 * What became of a job that was to be cancelled. `job busy`: somebody holds its row, as a function does that has a unit of
 * work of its own, until that ends. Hidden jobs are not there for anybody.
 */
export type CancelledJob = 'cancelled' | 'job unknown' | 'job busy' | { over: 'succeeded' | 'failed' }

/**
 * Cancels one job, wherever it stands; one that is cancelled stays so. What it has brought about so far goes on. Its
 * message stays where it is, and a worker that gets it drops it; a function that runs hears of it with its next beat, and
 * whatever it ends with is not written. When it was the last that was open its run ends.
 *
 * Locks: the job, then its row among those that wait, and then the counters, as a unit of work does. A release passes
 * over a job that is locked.
 */
export const cancelJob = async (em: EntityManager, jobId: string): Promise<CancelledJob> => {
  const cancelled = await unlessHeld(em, { jobId }, (em) => cancel(em, jobId))
  if (cancelled !== null && 'heldBy' in cancelled) return 'job busy'
  if (cancelled !== null) await endUnlessHeld(em, cancelled.runId)
  const { rows } = await queryable(em).query(`select status from workflow_job where id = $1`, [jobId])
  return answerOf(statusRows.parse(rows)[0]?.status)
}

/** A run that somebody holds locked is left to the sweep. */
const endUnlessHeld = async (em: EntityManager, runId: string): Promise<void> => {
  try {
    await endIfOver(em, [runId], { limitsWaits: true })
  } catch (error) {
    if (!isLockedOut(error)) throw error
  }
}

/** Resolves to the job's run; null when there was nothing to cancel. */
const cancel = async (em: EntityManager, jobId: string): Promise<{ runId: string } | null> => {
  const tx = queryable(em)
  const { rows } = await tx.query(cancelSql, [jobId, statusesBefore('cancel')])
  const [job] = cancelledRows.parse(rows)
  if (job === undefined) return null
  const moves = gatherMoves()
  moves.add(job.runId, job.stepId, { [job.before === 'staged' ? 'staged' : 'belt']: -1, cancelled: 1 })
  await moveCounters(tx, moves.all())
  return { runId: job.runId }
}

const answerOf = (status: JobStatus | undefined): CancelledJob => {
  switch (status) {
    case undefined:
    case 'hidden':
      return 'job unknown'
    case 'cancelled':
      return 'cancelled'
    case 'succeeded':
    case 'failed':
      return { over: status }
    // It was over when we looked, and is sent again by now.
    case 'staged':
    case 'queued':
    case 'running':
      return 'job busy'
  }
}

const cancelSql = `
  with open as (
    select id, run_id, step_id, status from workflow_job
    where id = $1 and status = any ($2)
    for no key update
  ), unwaited as (
    delete from workflow_waiting waiting using open
    where open.status = 'staged' and waiting.run_id = open.run_id and waiting.step_id = open.step_id
      and waiting.job_id = open.id
  )
  update workflow_job job set status = 'cancelled', claim = null, beat_at = null, finished_at = clock_timestamp()
  from open where job.id = open.id
  returning job.run_id as "runId", job.step_id as "stepId", open.status as before`

const cancelledRows = z.array(z.object({ runId: z.string(), stepId: z.string(), before: z.enum(jobStatuses) }))
const statusRows = z.array(z.object({ status: z.enum(jobStatuses) }))
