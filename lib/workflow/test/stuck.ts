import type { Broker } from '@esteira/test/support'
import * as z from 'zod'
import { defaultWindow } from '../src/job/unit/window.ts'

/** One statement on the database. */
type Query = (text: string, values?: unknown[]) => Promise<unknown[]>

/**
 * What waits although nothing will ever move it, while no worker is at work: open runs without an open job, jobs on the
 * belt whose message is neither in the outbox nor in a queue, messages for later of jobs that are not there, jobs behind
 * a window that has room, and jobs that are noted for a probe that is not under way.
 */
export const findStuck = async (query: Query, broker: Broker): Promise<unknown[]> => [
  ...(await query(openRunsSql)),
  ...(await query(laterSql)),
  ...(await query(probedSql)),
  ...(await query(behindSql, [defaultWindow])),
  ...(await jobsWithoutMessage(query, broker)),
]

const openRunsSql = `
  select run.id as "openRun" from workflow_run run
  where run.finished_at is null
    and not exists (select from workflow_job job where job.run_id = run.id and job.finished_at is null)`

const behindSql = `
  select counted.run_id as "runWithRoom", counted.step_id, counted.staged, counted.belt
  from workflow_run_step counted join workflow_run run on run.id = counted.run_id
  where run.status = 'running' and counted.staged > 0 and counted.belt < $1`

const laterSql = `
  select message.payload as "messageForLater" from outbox_scheduled message
  where not exists (select from workflow_job job where job.id::text = message.payload ->> 'jobId')`

const probedSql = `
  select probed.function_name as "noProbeOf", probed.job_id from workflow_probed_job probed
  where not exists (select from workflow_probe probe where probe.function_name = probed.function_name)`

/** First the rows, then the queues: a row is deleted only when its message is in a queue. */
const jobsWithoutMessage = async (query: Query, broker: Broker): Promise<unknown[]> => {
  const jobs = jobRows.parse(await query(jobsWithoutRowSql))
  const queues = [...new Set(jobs.map(({ queue }) => queue))]
  const messages = (await Promise.all(queues.map((queue) => referencesIn(queue, broker)))).flat()
  return jobs.filter(({ jobId, seq }) => !messages.some((message) => message.jobId === jobId && message.seq === seq))
}

// `not in` makes a table of the messages, whatever Postgres knows of them; a look for each job's own would go through all
// of them for each job, by statistics of when the outbox was empty.
const jobsWithoutRowSql = `
  with message as (
    select payload from outbox_message union all
    select payload from outbox_scheduled union all
    select payload from outbox_parked
  )
  select job.id as "jobId", job.seq, job.status, step.function_name as queue
  from workflow_job job
  join workflow_run run on run.id = job.run_id
  join workflow_step step on step.id = job.step_id and step.version = run.version
  where job.status in ('queued', 'running')
    and (job.id::text, job.seq::text) not in (
      select payload ->> 'jobId', payload ->> 'seq' from message where payload ->> 'seq' is not null
    )`

const jobRows = z.array(z.object({ jobId: z.string(), seq: z.int(), status: z.string(), queue: z.string() }))

const referencesIn = async (queue: string, broker: Broker): Promise<{ jobId: string; seq: number }[]> => {
  const payloads = await broker.look(queue)
  return payloads.flatMap((payload) => referenceSchema.safeParse(payload).data ?? [])
}

const referenceSchema = z.object({ jobId: z.string(), seq: z.int() })
