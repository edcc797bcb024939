import type { Queryable } from '@esteira/outbox'
import { statusesBefore } from '../transitions.ts'
import type { Moved } from './move-counters.ts'
import type { PlacedChild } from './place-children.ts'

type Staged = { id: string; runId: string; stepId: string }

/** Notes jobs that are staged among those that wait for room. */
export const insertWaiting = async (tx: Queryable, jobs: readonly Staged[]): Promise<void> => {
  if (jobs.length === 0) return
  await tx.query(
    `insert into workflow_waiting (run_id, step_id, job_id) select * from unnest($1::uuid[], $2::uuid[], $3::uuid[])`,
    [jobs.map(({ runId }) => runId), jobs.map(({ stepId }) => stepId), jobs.map(({ id }) => id)],
  )
}

/**
 * Stages those of the children just put onto the belt that are too many, since other units took the room between the look at it
 * and the counters' lock, which the caller holds. So no reader ever sees a window exceeded. Their messages stay in the
 * outbox and are dropped by whoever gets them: the release of a staged job raises its `seq`.
 */
export const stageOverflow = async (
  tx: Queryable,
  moved: readonly Moved[],
  queued: readonly PlacedChild[],
  window: number,
): Promise<void> => {
  const over = moved.flatMap(({ runId, stepId, belt }) => {
    if (belt <= window) return []
    return queued.filter((child) => child.runId === runId && child.stepId === stepId).slice(window - belt)
  })
  if (over.length === 0) return
  await tx.query(stageSql, [over.map(({ id }) => id), statusesBefore('putBack')])
  await insertWaiting(tx, over)
}

const stageSql = `
  with staged as (
    update workflow_job set status = 'staged', enqueued_at = null where id = any ($1::uuid[]) and status = any ($2)
    returning run_id, step_id, id
  )
  update workflow_run_step counted set
    belt = counted.belt - beyond.jobs,
    staged = counted.staged + beyond.jobs,
    released_to = case when counted.released_to > beyond.first then beyond.first else counted.released_to end
  from (
    select run_id, step_id, count(*) as jobs, min(id::text)::uuid as first from staged group by run_id, step_id
  ) beyond
  where counted.run_id = beyond.run_id and counted.step_id = beyond.step_id`
