import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import { NIL } from 'uuid'
import * as z from 'zod'
import type { CronStep } from './read-cron-steps.ts'

/** The newest run that a tick of a step began, or that it skipped. */
export type LastTick = { runId: string; status: string; at: Date }

/** A step whose last tick is asked for; with `from`, if it is not older. */
type Asked = Pick<CronStep, 'stepId' | 'workflowId'> & { from?: Date }

/** The last ticks of steps, by step id; steps that never ticked are missing. */
export const readLastTicks = async (em: EntityManager, steps: readonly Asked[]): Promise<Map<string, LastTick>> => {
  const { rows } = await queryable(em).query(lastTicksSql, [
    steps.map(({ stepId }) => stepId),
    steps.map(({ workflowId }) => workflowId),
    steps.map(({ from }) => (from === undefined ? NIL : firstIdAt(from))),
  ])
  return new Map(
    tickRows.parse(rows).map(({ stepId, runId, status, ms }) => [stepId, { runId, status, at: new Date(ms) }]),
  )
}

/** How far the clock of who drew an id may be behind the database's: the ids of runs are in the order of their times. */
const idSkewMs = 600_000

/** The first of the ids of version 7 that a time, by a clock that may be behind, gives (RFC 9562). */
const firstIdAt = (time: Date): string => {
  const hex = (time.getTime() - idSkewMs).toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`
}

// A run does not name the step it began at; its first job, the one without a parent, does. One that was skipped has no
// job, and counters of that step alone.
const lastTicksSql = `
  select step.step_id as "stepId", run.id as "runId", run.status,
         (extract(epoch from run.created_at) * 1000)::float8 as ms
  from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as step (step_id, workflow_id, first_id)
  cross join lateral (
    select run.id, run.status, run.created_at
    from workflow_run run
    where run.workflow_id = step.workflow_id and run.id >= step.first_id and run.trigger = 'cron'
      and case when run.status = 'skipped' then exists (
        select from workflow_run_step counted where counted.run_id = run.id and counted.step_id = step.step_id
      ) else exists (
        select from workflow_job job
        where job.run_id = run.id and job.step_id = step.step_id and job.parent_id is null
      ) end
    order by run.id desc
    limit 1
  ) run`

const tickRows = z.array(z.object({ stepId: z.string(), runId: z.string(), status: z.string(), ms: z.number() }))
