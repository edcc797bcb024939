import { type Queryable, queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { cronJobFunctionName } from '../cron/cron-job.ts'
import { type RunStatus, runStatuses } from '../model/run-status.ts'
import { releaseGroup, type Releaser } from './settle/release.ts'
import { defaultMaxPayloadBytes, limitPayload } from '../payload/payload-limit.ts'
import { statusesBefore } from '../job/transitions.ts'
import { insertWaiting } from '../job/unit/stage-jobs.ts'
import { gatherMoves, moveCounters } from '../job/unit/move-counters.ts'
import { type HeldBy, unlessHeld } from './unless-held.ts'

/**
 * What became of a job that was to be sent again. Only one that failed can be, none of a run that is cancelled, and none
 * of a CronJob, which has no queue: another run is what is meant then. One that has given items goes on behind them, so
 * it takes no other payload; one that has not begins anew with it, however far it had come with the one before.
 */
export type SentAgain =
  | 'sent'
  | 'job unknown'
  | 'job not failed'
  | 'job of a tick'
  | 'run cancelled'
  | 'job has given items'
  | HeldBy

/**
 * Sends a failed job again, with another payload if one is given: all its tries are before it, and a run that had ended
 * is open again. It waits like any other for room in its window, and gets it at once if there is some. Where somebody holds
 * the run, the job or the counters locked nothing is written.
 *
 * @throws WorkflowError `payload_too_large` for a payload of more than `maxPayloadBytes`, 1 MiB unless given.
 *
 * Locks: the run, then the job, then the counters: a run that is about to be ended is not ended over its head.
 */
export const sendAgain = async (
  em: EntityManager,
  jobId: string,
  { maxPayloadBytes = defaultMaxPayloadBytes, ...by }: Releaser & { maxPayloadBytes?: number },
  change: { payload?: unknown } = {},
): Promise<SentAgain> => {
  if ('payload' in change) limitPayload('the payload', change.payload, maxPayloadBytes)
  const staged = await unlessHeld(em, { jobId }, (em) => stage(queryable(em), jobId, change))
  if (typeof staged === 'string' || 'heldBy' in staged) return staged
  // Where somebody has locked the counters since, the sweep of releases finds it.
  await unlessHeld(em, { jobId }, (em) => releaseGroup(em, staged, by))
  return 'sent'
}

const stage = async (
  tx: Queryable,
  jobId: string,
  change: { payload?: unknown },
): Promise<{ runId: string; stepId: string } | Exclude<SentAgain, 'sent' | HeldBy>> => {
  const run = runRows.parse((await tx.query(lockRunSql, [jobId])).rows)[0]
  if (run === undefined) return 'job unknown'
  if (run.functionName === cronJobFunctionName) return 'job of a tick'
  if (isCancelled(run.status)) return 'run cancelled'
  const values = [jobId, 'payload' in change, JSON.stringify(change.payload ?? null), statusesBefore('sendAgain')]
  const job = jobRows.parse((await tx.query(stageSql, values)).rows)[0]
  if (job === undefined) return (await hasGiven(tx, jobId)) ? 'job has given items' : 'job not failed'
  await insertWaiting(tx, [{ id: jobId, ...job }])
  const moves = gatherMoves()
  moves.add(job.runId, job.stepId, { failed: -1, staged: 1, waitsFrom: jobId })
  await moveCounters(tx, moves.all())
  await tx.query(`update workflow_run set status = 'running', finished_at = null where id = $1`, [job.runId])
  return job
}

/** Whether a failed job has items of its payload: it may have given some while its run was waited for. */
const hasGiven = async (tx: Queryable, jobId: string): Promise<boolean> =>
  (
    await tx.query(`select from workflow_job where id = $1 and status = any ($2) and ${given}`, [
      jobId,
      statusesBefore('sendAgain'),
    ])
  ).rows.length > 0

const given = '(emitted > 0 or accepted is not null)'

const isCancelled = (status: RunStatus): boolean => status === 'cancelling' || status === 'cancelled'

const lockRunSql = `
  select run.status, step.function_name as "functionName"
  from workflow_job job
  join workflow_run run on run.id = job.run_id
  join workflow_step step on step.id = job.step_id and step.version = run.version
  where job.id = $1 and job.status <> 'hidden'
  for no key update of run`

// JSON's null is SQL's, as in every payload.
const stageSql = `
  update workflow_job set
    status = 'staged', revision = revision + 1, attempt = 0, claim = null, error = null, output = null,
    payload = case when $2 then nullif($3::jsonb, 'null') else payload end,
    cursor = case when $2 then null else cursor end,
    run_after = null, enqueued_at = null, started_at = null, finished_at = null, worker = null
  where id = $1 and status = any ($4) and not ($2 and ${given})
  returning run_id as "runId", step_id as "stepId"`

const runRows = z.array(z.object({ status: z.enum(runStatuses), functionName: z.string() }))
const jobRows = z.array(z.object({ runId: z.string(), stepId: z.string() }))
