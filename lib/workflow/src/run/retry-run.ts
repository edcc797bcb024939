import { type Queryable, queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { cronJobFunctionName } from '../cron/cron-job.ts'
import { isLockedOut } from '../database/is-transient.ts'
import { statusesBefore } from '../job/transitions.ts'
import { gatherMoves, moveCounters } from '../job/unit/move-counters.ts'
import { insertWaiting } from '../job/unit/stage-jobs.ts'
import { type RunStatus, runStatuses } from '../model/run-status.ts'
import { fromTheStart } from './settle/cancel-jobs.ts'
import { releaseJobs, type Releaser } from './settle/release.ts'
import { type HeldBy, unlessHeld } from './unless-held.ts'

/** What became of a run whose failed jobs were to be sent again: how many were, or why none is. */
export type RetriedRun = { jobs: number } | 'run unknown' | 'run cancelled' | HeldBy

/** Jobs of one unit of work: few enough that nobody waits long for the counters. */
const groupSize = 1_000

/**
 * Sends all failed jobs of a run again, as `sendAgain` does one, and opens it if it had ended. Each is sent once, though it
 * may fail anew meanwhile. They go in groups in the order of their ids, each a unit of work: a call that is cut short has
 * sent the first of them, and the next one sends the others; so has one behind whose first groups somebody holds the run
 * locked. A tick has no queue, and stays as it is.
 */
export const retryRun = async (
  em: EntityManager,
  runId: string,
  { groupSize: most = groupSize, ...by }: Releaser & { groupSize?: number },
): Promise<RetriedRun> => {
  let jobs = 0
  for (let after: string | null = fromTheStart; after !== null;) {
    const group: Group = { runId, after, most }
    const staged: Staged | 'run unknown' | 'run cancelled' | HeldBy = await unlessHeld(em, { runId }, (em) =>
      stageGroup(em, group),
    )
    if (typeof staged !== 'string' && 'heldBy' in staged) return staged
    if (typeof staged === 'string') return jobs === 0 ? staged : { jobs }
    jobs += staged.jobs
    after = staged.after
    if (staged.jobs > 0) await releaseUnlessHeld(em, runId, by)
  }
  return { jobs }
}

/** What waits since somebody has locked the counters is left to the sweep of releases. */
const releaseUnlessHeld = async (em: EntityManager, runId: string, by: Releaser): Promise<void> => {
  try {
    await releaseJobs(em, [runId], { ...by, limitsWaits: true })
  } catch (error) {
    if (!isLockedOut(error)) throw error
  }
}

type Group = { runId: string; after: string; most: number }

/** How many jobs of a group were staged, and the id to go on after; null when none is left. */
type Staged = { jobs: number; after: string | null }

/** Locks: the run, so that it is not ended over their heads; then the jobs, in the order of their ids; then the counters. */
const stageGroup = async (
  em: EntityManager,
  { runId, after, most }: Group,
): Promise<Staged | 'run unknown' | 'run cancelled'> => {
  const tx = queryable(em)
  const { rows } = await tx.query(`select status from workflow_run where id = $1 for no key update`, [runId])
  const [run] = runRows.parse(rows)
  if (run === undefined) return 'run unknown'
  if (isCancelled(run.status)) return 'run cancelled'
  const jobs = await stage(tx, [runId, after, statusesBefore('sendAgain'), most, cronJobFunctionName])
  if (jobs.length === 0) return { jobs: 0, after: null }
  await insertWaiting(
    tx,
    jobs.map((job) => ({ ...job, runId })),
  )
  const moves = gatherMoves()
  for (const { id: waitsFrom, stepId } of jobs) moves.add(runId, stepId, { failed: -1, staged: 1, waitsFrom })
  await moveCounters(tx, moves.all())
  await tx.query(`update workflow_run set status = 'running', finished_at = null where id = $1`, [runId])
  const last = jobs.map(({ id }) => id).toSorted()
  return { jobs: jobs.length, after: jobs.length < most ? null : (last.at(-1) ?? null) }
}

const isCancelled = (status: RunStatus): boolean => status === 'cancelling' || status === 'cancelled'

const stage = async (tx: Queryable, values: unknown[]): Promise<z.infer<typeof jobRows>> =>
  jobRows.parse((await tx.query(stageSql, values)).rows)

// As arrays, as in a release.
const stageSql = `
  with failed as (
    select id from workflow_job
    where run_id = $1 and id > $2 and status = any ($3)
      and step_id = any (array(
        select step.id from workflow_step step
        join workflow_run run on run.workflow_id = step.workflow_id and run.version = step.version
        where run.id = $1 and step.function_name <> $5))
    order by id
    limit $4
    for no key update
  )
  update workflow_job set
    status = 'staged', revision = revision + 1, attempt = 0, claim = null, error = null, output = null,
    run_after = null, enqueued_at = null, started_at = null, finished_at = null, worker = null
  where id = any (array(select id from failed))
  returning id, step_id as "stepId"`

const runRows = z.array(z.object({ status: z.enum(runStatuses) }))
const jobRows = z.array(z.object({ id: z.string(), stepId: z.string() }))
