import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { runStatuses } from '../model/run-status.ts'
import { bytesBesideText } from '../payload/bytes-in-memory.ts'
import { jobStatuses } from '../model/job-status.ts'

/**
 * A job as the database has it, with what of its run counts: the version that it began with, and its status. A large payload
 * is left there.
 */
export type FoundJob = z.infer<typeof foundRows>[number]

/**
 * A payload that takes more than this in its table is left there: as many as are found at a time could be more than the
 * memory holds. Smaller ones lie in the row itself or nearly so, and come along for nothing.
 */
const mostStoredBytes = 2_048

/** Reads jobs by their ids in one statement; ids that nobody knows are missing from the map. */
export const findJobs = async (em: EntityManager, ids: readonly string[]): Promise<Map<string, FoundJob>> => {
  const { rows } = await queryable(em).query(findJobsSql, [ids, mostStoredBytes, bytesBesideText])
  return new Map(foundRows.parse(rows).map((job) => [job.id, job]))
}

// `pg_column_size` does not fetch what lies apart, its text does; without the offset that would be made for each use of it.
// What it takes in memory is reckoned as `bytesInMemory` does.
const findJobsSql = `
  select job.id, job.run_id as "runId", job.step_id as "stepId", job.status, job.seq, job.attempt, job.revision, job.claim,
         case when pg_column_size(job.payload) > $2 then null else job.payload end as payload,
         case when octet_length(large.text) = length(large.text) then length(large.text)
              else greatest(octet_length(large.text), 2 * length(large.text)) end
           + $3::float8 * (length(large.text) - length(replace(large.text, ',', ''))) as "leftBytes",
         job.emitted, job.cursor, job.accepted, job.traceparent,
         run.workflow_id as "workflowId", run.version, run.status as "runStatus"
  from workflow_job job
  cross join lateral (select workflow_id, version, status from workflow_run where id = job.run_id offset 0) run
  left join lateral (
    select job.payload::text as text where pg_column_size(job.payload) > $2 offset 0
  ) large on true
  where job.id = any ($1::uuid[])`

const leftMark = Symbol('left in the database')

/** How many bytes of memory a found payload takes, about, that was left in the database; null for one that came along. */
export const leftBytesOf = (payload: unknown): number | null => {
  if (typeof payload !== 'object' || payload === null || !(leftMark in payload)) return null
  return typeof payload[leftMark] === 'number' ? payload[leftMark] : null
}

const foundRows = z.array(
  z
    .object({
      id: z.string(),
      runId: z.string(),
      stepId: z.string(),
      status: z.enum(jobStatuses),
      seq: z.int(),
      attempt: z.int(),
      revision: z.int(),
      claim: z.string().nullable(),
      payload: z.unknown(),
      leftBytes: z.int().nullable(),
      emitted: z.int(),
      cursor: z.unknown(),
      accepted: z.string().nullable(),
      traceparent: z.string(),
      workflowId: z.string(),
      version: z.int(),
      runStatus: z.enum(runStatuses),
    })
    .transform(({ leftBytes, ...job }) => (leftBytes === null ? job : { ...job, payload: { [leftMark]: leftBytes } })),
)
