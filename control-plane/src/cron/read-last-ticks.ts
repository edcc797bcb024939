import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import type { CronStep } from './read-cron-steps.ts'

/** The newest run that a tick of a step began, or that it skipped. */
export type LastTick = { runId: string; status: string; at: Date }

/** The last ticks of steps, by step id; steps that never ticked are missing. */
export const readLastTicks = async (
  em: EntityManager,
  steps: readonly Pick<CronStep, 'stepId' | 'workflowId'>[],
): Promise<Map<string, LastTick>> => {
  const { rows } = await queryable(em).query(lastTicksSql, [
    steps.map(({ stepId }) => stepId),
    steps.map(({ workflowId }) => workflowId),
  ])
  return new Map(
    tickRows.parse(rows).map(({ stepId, runId, status, ms }) => [stepId, { runId, status, at: new Date(ms) }]),
  )
}

// A run does not name the step it began at; its first job, the one without a parent, does. One that was skipped has no
// job, and counters of that step alone.
const lastTicksSql = `
  select step.step_id as "stepId", run.id as "runId", run.status,
         (extract(epoch from run.created_at) * 1000)::float8 as ms
  from unnest($1::uuid[], $2::uuid[]) as step (step_id, workflow_id)
  cross join lateral (
    select run.id, run.status, run.created_at
    from workflow_run run
    where run.workflow_id = step.workflow_id and run.trigger = 'cron'
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
