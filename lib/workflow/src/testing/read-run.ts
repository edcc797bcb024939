import type { Queryable } from '@esteira/outbox'
import * as z from 'zod'
import { jobStatuses } from '../model/job-status.ts'
import { type RunStatus, runStatuses } from '../model/run-status.ts'

/** A job as a client of the API sees it. `attempt` counts the attempts that it took. */
export type TestJob = z.infer<typeof jobShape>

/** A run and its jobs, in the order of the steps and of their items. */
export type TestRun = { id: string; status: RunStatus; jobs: TestJob[] }

const jobShape = z.object({
  id: z.string(),
  step: z.string(),
  status: z.enum(jobStatuses),
  attempt: z.int(),
  payload: z.unknown(),
  output: z.unknown(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
})

/** Whether a run is over. */
export const isRunOver = async (db: Queryable, id: string): Promise<boolean> =>
  (await db.query(`select from workflow_run where id = $1 and finished_at is not null`, [id])).rows.length > 0

/** The run as it stands. */
export const readRun = async (db: Queryable, id: string): Promise<TestRun> => {
  const runs = await db.query(`select status from workflow_run where id = $1`, [id])
  const [{ status }] = z.tuple([z.object({ status: z.enum(runStatuses) })]).parse(runs.rows)
  const jobs = await db.query(jobsSql, [id])
  return { id, status, jobs: z.array(jobShape).parse(jobs.rows) }
}

const jobsSql = `
  select job.id, step.name as step, job.status, job.attempt, job.payload, job.output, job.error
  from workflow_job job
  join workflow_run run on run.id = job.run_id
  join workflow_step step on step.id = job.step_id and step.version = run.version
  where run.id = $1
  order by step.position, job.parent_id, job.item_index, job.id`
