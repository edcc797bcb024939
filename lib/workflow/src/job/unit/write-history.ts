import type { Queryable } from '@esteira/outbox'
import type { WorkflowAttempt } from '../../model/workflow-attempt.ts'
import type { FinishedJob } from '../held-job.ts'

/**
 * Keeps what became of the attempts that did not succeed, all in one statement; a group without any costs none. An
 * attempt that was put off right after another that was becomes one row with it: a job that looks every second whether
 * something is there must not write a row each time.
 *
 * Locks: rows of jobs that the caller has locked.
 */
export const writeHistory = async (tx: Queryable, ended: Iterable<FinishedJob>, worker: string): Promise<void> => {
  const rows = [...ended].flatMap(attemptRows)
  if (rows.length > 0) await tx.query(writeHistorySql, [JSON.stringify(rows), worker])
}

const writeHistorySql = `
  with ended as (
    select * from jsonb_to_recordset($1::jsonb) as ended(
      job_id uuid, seq int, attempt int, outcome text, error jsonb, elapsed_ms float8)
  ), again as (
    select ended.* from ended cross join lateral (
      select from workflow_attempt
      where ended.outcome = 'snoozed' and outcome = 'snoozed' and job_id = ended.job_id and seq = ended.seq - 1
      offset 0
    ) before
  ), continued as (
    update workflow_attempt before set
      seq = again.seq,
      times = before.times + 1,
      error = again.error,
      worker = $2,
      ended_at = clock_timestamp()
    from again
    where before.job_id = again.job_id
      and before.seq = again.seq - 1
      and before.outcome = 'snoozed'
    returning before.job_id
  )
  insert into workflow_attempt (job_id, seq, attempt, outcome, error, worker, started_at, ended_at)
  select job_id, seq, attempt, outcome, error, $2,
         clock_timestamp() - elapsed_ms * interval '1 ms', clock_timestamp()
  from ended
  where job_id not in (select job_id from continued)`

const attemptRows = ({ job, ending, elapsedMs }: FinishedJob) => {
  // What is cancelled without having been begun was no attempt.
  if (ending.kind === 'succeeded' || ending.kind === 'continued') return []
  if (ending.kind === 'cancelled' && elapsedMs === 0) return []
  return [
    {
      job_id: job.id,
      seq: job.seq,
      attempt: job.attempt + 1,
      outcome: outcomeOf(job.attempt, ending),
      error: 'error' in ending ? ending.error : null,
      elapsed_ms: elapsedMs,
    },
  ]
}

type Unsuccessful = Exclude<FinishedJob['ending'], { kind: 'succeeded' | 'continued' }>

const outcomeOf = (before: number, ending: Unsuccessful): WorkflowAttempt['outcome'] => {
  if (ending.kind !== 'requeued') return ending.kind
  return ending.attempt === before ? 'snoozed' : 'retried'
}
