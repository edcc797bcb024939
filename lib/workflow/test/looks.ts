import * as z from 'zod'

/** Looks at what became of runs: their jobs, counters and messages. `query` runs one statement. */
export const openLooks = (query: (text: string, values?: unknown[]) => Promise<unknown[]>) => ({
  /** Jobs of a run in the order of steps and items. `step` counts from 0, `dueInMs` is null for a job without delay. */
  jobs: async (runId: string) => jobRows.parse(await query(jobsSql, [runId])),

  /** The attempts at a job that did not succeed, the oldest first; `ms` is how long it took, the pauses of several included. */
  attempts: async (jobId: string) => attemptRows.parse(await query(attemptsSql, [jobId])),

  statusOf: async (runId: string): Promise<string> =>
    runRows.parse(await query(`select status from workflow_run where id = $1`, [runId]))[0].status,

  /** How many messages wait in the outbox, those for later included. */
  outboxRows: async (): Promise<number> => countRows.parse(await query(outboxRowsSql))[0].count,
})

const jobRows = z.array(
  z.object({
    id: z.string(),
    runId: z.string(),
    step: z.int(),
    parentId: z.string().nullable(),
    itemIndex: z.int().nullable(),
    status: z.string(),
    seq: z.int(),
    attempt: z.int(),
    claim: z.string().nullable(),
    payload: z.unknown(),
    output: z.unknown(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    dueInMs: z.number().nullable(),
    traceparent: z.string(),
    worker: z.string().nullable(),
  }),
)

const jobsSql = `
  select job.id, job.run_id as "runId", step.position as step, job.parent_id as "parentId", job.item_index as "itemIndex", job.status, job.seq,
         job.attempt, job.claim, job.payload, job.output, job.error,
         (extract(epoch from job.run_after - now()) * 1000)::float8 as "dueInMs", job.traceparent, job.worker
  from workflow_job job
  join workflow_run run on run.id = job.run_id
  join workflow_step step on step.id = job.step_id and step.version = run.version
  where run.id = $1
  order by step.position, job.item_index, job.id`

const attemptRows = z.array(
  z.object({
    seq: z.int(),
    attempt: z.int(),
    outcome: z.string(),
    times: z.int(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    worker: z.string(),
    ms: z.number(),
  }),
)

const attemptsSql = `
  select seq, attempt, outcome, times, error, worker,
         (extract(epoch from ended_at - started_at) * 1000)::float8 as ms
  from workflow_attempt where job_id = $1 order by seq, lost desc`

const runRows = z.tuple([z.object({ status: z.string() })])
const countRows = z.tuple([z.object({ count: z.int() })])

const outboxRowsSql = `
  select (select count(*) from outbox_message)::int + (select count(*) from outbox_scheduled)::int as count`
