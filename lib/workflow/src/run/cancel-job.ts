import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { databaseErrorOf } from '../database/is-transient.ts'
import { endIfOver } from './settle/settle.ts'
import { statusesBefore } from '../job/transitions.ts'
import { type JobStatus, jobStatuses } from '../model/job-status.ts'
import { gatherMoves, moveCounters } from '../job/unit/move-counters.ts'

/**
 * What became of a job that was to be cancelled. `job busy`: somebody holds its row, as a function does that has a unit of
 * work of its own, until that ends. Hidden jobs are not there for anybody.
 */
export type CancelledJob = 'cancelled' | 'job unknown' | 'job busy' | { over: 'succeeded' | 'failed' }

/** How long a row that is being written is waited for, milliseconds. A commit takes some tens. */
const lockMs = 2_000

/**
 * Cancels one job, wherever it stands; one that is cancelled stays so. What it has brought about so far goes on. Its
 * message stays where it is, and a worker that gets it drops it; a function that runs hears of it with its next beat, and
 * whatever it ends with is not written. When it was the last that was open its run ends.
 *
 * Locks: the job, then its row among those that wait, and then the counters, as a unit of work does. A release passes
 * over a job that is locked.
 */
export const cancelJob = async (em: EntityManager, jobId: string): Promise<CancelledJob> => {
  try {
    const runId = await em.transactional((em) => cancel(em, jobId))
    if (runId !== null) await endIfOver(em, [runId])
  } catch (error) {
    if (databaseErrorOf(error)?.code === lockNotAvailable) return 'job busy'
    throw error
  }
  const { rows } = await queryable(em).query(`select status from workflow_job where id = $1`, [jobId])
  return answerOf(statusRows.parse(rows)[0]?.status)
}

const lockNotAvailable = '55P03'

/** Resolves to the job's run; null when there was nothing to cancel. */
const cancel = async (em: EntityManager, jobId: string): Promise<string | null> => {
  const tx = queryable(em)
  await tx.query(`select set_config('lock_timeout', $1, true)`, [String(lockMs)])
  const { rows } = await tx.query(cancelSql, [jobId, statusesBefore('cancel')])
  const [job] = cancelledRows.parse(rows)
  if (job === undefined) return null
  const moves = gatherMoves()
  moves.add(job.runId, job.stepId, { [job.before === 'staged' ? 'staged' : 'belt']: -1, cancelled: 1 })
  await moveCounters(tx, moves.all())
  return job.runId
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
