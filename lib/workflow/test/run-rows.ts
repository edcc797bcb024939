import * as z from 'zod'
import { jobStatuses } from '../src/model/job-status.ts'
import { runStatuses } from '../src/model/run-status.ts'
import { ownName } from './told-functions.ts'

/** A message on the belt; `deliveries` is how often it was handed out before, as the queue counts that. */
export type Message = { jobId: string; seq: number; redelivered: boolean; deliveries: number }

/** A message that only asks to be seen. It comes out when all that was there before it has been handed out. */
export type Probe = { probe: string }

type Query = (text: string, values?: unknown[]) => Promise<unknown[]>

/** What there is of a run and of its messages in the database. */
export const openRunRows = (query: Query, runId: string) => ({
  jobs: async (): Promise<Map<string, JobRow>> => {
    const rows = jobRows.parse(await query(jobsSql, [runId]))
    return new Map(rows.map((row) => [row.id, row]))
  },
  runStatus: async () => runRows.parse(await query('select status from workflow_run where id = $1', [runId]))[0].status,
  /** The messages that are written and not published. */
  waiting: async () => messageRows.parse(await query(waitingSql)),
  /** Takes out all messages that are written, also those for later, as a relay does. */
  takeMessages: async (): Promise<(Message | Probe)[]> => takenRows.parse(await query(takeMessagesSql)),
  /** Items of the first step that are not those of their places. */
  misplaced: () => query(misplacedSql, [runId]),
  /** Jobs with a unit of work of their own that have not one row of it if they succeeded, and none else. */
  misbooked: () => query(misbookedSql, [runId, ownName]),
})

/** Leaves nothing of the runs before. */
export const clearRuns = async (query: Query): Promise<void> => void (await query(clearSql))

const jobsSql = `
  select job.id, job.status, job.seq, job.claim, job.error ->> 'code' as "errorCode", step.function_name as "functionName", job.parent_id is null as "isFirst",
         job.emitted > 0 or job.accepted is not null as "hasGiven"
  from workflow_job job
  join workflow_run run on run.id = job.run_id
  join workflow_step step on step.id = job.step_id and step.version = run.version
  where job.run_id = $1 and job.status <> 'hidden'
  order by job.id`

const misplacedSql = `
  select job.id, job.item_index, job.payload from workflow_job job join workflow_job parent on parent.id = job.parent_id
  where job.run_id = $1 and parent.parent_id is null
    and coalesce(job.payload -> 'id', job.payload) is distinct from to_jsonb(job.item_index)`

const misbookedSql = `
  select job.id, job.status, count(booking.job_id)::int as bookings
  from workflow_job job
  join workflow_run run on run.id = job.run_id
  join workflow_step step on step.id = job.step_id and step.version = run.version
  left join booking on booking.job_id = job.id
  where job.run_id = $1
  group by job.id, step.function_name
  having count(booking.job_id) <> (job.status = 'succeeded' and step.function_name = $2)::int`

const jobRows = z.array(
  z.object({
    id: z.string(),
    status: z.enum(jobStatuses),
    seq: z.int(),
    claim: z.string().nullable(),
    errorCode: z.string().nullable(),
    functionName: z.string(),
    isFirst: z.boolean(),
    /** Whether there are items of its payload. */
    hasGiven: z.boolean(),
  }),
)

/** A job as its row is. */
export type JobRow = z.infer<typeof jobRows>[number]

const runRows = z.tuple([z.object({ status: z.enum(runStatuses) })])

const clearSql = `
  truncate workflow_run, workflow_waiting, workflow_hidden_page, workflow_item_key, workflow_probe,
    workflow_probed_job, outbox_message, outbox_scheduled, booking cascade`

const takeMessagesSql = `
  with now as (delete from outbox_message returning id, payload),
       later as (delete from outbox_scheduled returning id, payload)
  select payload from (select * from now union all select * from later) as message order by id`

const takenRows = z.array(
  z
    .object({ payload: z.union([z.object({ jobId: z.string(), seq: z.int() }), z.object({ probe: z.string() })]) })
    .transform(({ payload }) => ('probe' in payload ? payload : { ...payload, redelivered: false, deliveries: 0 })),
)

const messageRows = z.array(z.object({ jobId: z.string(), seq: z.int() }))

const waitingSql = `
  select payload ->> 'jobId' as "jobId", (payload ->> 'seq')::int as seq
  from (select payload from outbox_message union all select payload from outbox_scheduled) as message
  where payload ->> 'jobId' is not null`
