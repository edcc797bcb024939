import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { statusesBefore } from '../../job/transitions.ts'
import { jobStatuses } from '../../model/job-status.ts'
import { withinLockLimit } from '../../job/unit/limit-lock-waits.ts'
import { gatherMoves, moveCounters } from '../../job/unit/move-counters.ts'

/** Jobs of one unit of work: few enough that nobody waits long for the counters. */
const groupSize = 1_000

/** Below every id of a job. */
export const fromTheStart = '00000000-0000-0000-0000-000000000000'

/** How many jobs of a group were cancelled, and the id to go on after; null when there are none behind it. */
export type CancelledGroup = { jobs: number; after: string | null }

/**
 * Cancels the next jobs after an id of a run that is being cancelled, in the order of their ids: those that wait or are
 * queued, by compare-and-set, with their counters. Their messages stay where they are; a worker that gets one drops it.
 * Running jobs are left to their workers, and so is one whose end is being written in this moment.
 *
 * Locks: the jobs, passing over what is locked, then their rows among those that wait, and then the counters, as a unit
 * of work does. A release holds the counters and waits for nothing behind them. It waits for none of them for long: others
 * wait for the jobs that it has.
 *
 * @throws what Postgres gives up such a wait with.
 */
export const cancelJobs = (em: EntityManager, runId: string, after: string): Promise<CancelledGroup> =>
  withinLockLimit(em, async (em) => {
    const tx = queryable(em)
    const { rows } = await tx.query(cancelJobsSql, [runId, after, cancellable, groupSize])
    const cancelled = cancelledRows.parse(rows)
    const moves = gatherMoves()
    for (const { stepId, before, jobs } of cancelled) {
      moves.add(runId, stepId, { [before === 'staged' ? 'staged' : 'belt']: -jobs, cancelled: jobs })
    }
    await moveCounters(tx, moves.all())
    const jobs = cancelled.reduce((sum, row) => sum + row.jobs, 0)
    const last = cancelled
      .map((row) => row.last)
      .toSorted()
      .at(-1)
    return { jobs, after: jobs < groupSize ? null : (last ?? null) }
  })

/** Cancels all such jobs of a run, group by group; returns how many. */
export const cancelAllJobs = async (em: EntityManager, runId: string): Promise<number> => {
  let all = 0
  for (let after: string | null = fromTheStart; after !== null;) {
    const group: CancelledGroup = await cancelJobs(em, runId, after)
    all += group.jobs
    after = group.after
  }
  return all
}

const cancellable = statusesBefore('cancel').filter((status) => status !== 'running')

// As arrays, as in a release: a join with what was just chosen would be planned for a table of those that wait which is
// empty, and every row of it compared with every one that was chosen. What is locked here is what is cancelled.
const cancelJobsSql = `
  with open as (
    select id, step_id, status from workflow_job
    where run_id = $1 and id > $2 and status = any ($3)
      and exists (select from workflow_run where id = $1 and status = 'cancelling')
    order by id
    limit $4
    for no key update skip locked
  ), unwaited as (
    delete from workflow_waiting
    where run_id = $1
      and step_id = any (array(select distinct step_id from open where status = 'staged'))
      and job_id = any (array(select id from open where status = 'staged'))
  ), cancelled as (
    update workflow_job set status = 'cancelled', claim = null, finished_at = clock_timestamp()
    where id = any (array(select id from open))
  )
  select step_id as "stepId", status as before, count(*)::int as jobs, max(id::text) as last
  from open group by step_id, status`

const cancelledRows = z.array(
  z.object({ stepId: z.string(), before: z.enum(jobStatuses), jobs: z.int(), last: z.string() }),
)
