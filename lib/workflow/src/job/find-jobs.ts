import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { runStatuses } from '../run/run-status.ts'
import { jobStatuses } from './transitions.ts'

/** A job as the database has it, with what of its run counts: the version that it began with, and its status. */
export type FoundJob = z.infer<typeof foundRows>[number]

/** Reads jobs by their ids in one statement; ids that nobody knows are missing from the map. */
export const findJobs = async (em: EntityManager, ids: readonly string[]): Promise<Map<string, FoundJob>> => {
  const { rows } = await queryable(em).query(
    `select job.id, job.run_id as "runId", job.step_id as "stepId", job.status, job.seq, job.attempt, job.claim,
            job.payload, job.traceparent, run.workflow_id as "workflowId", run.version, run.status as "runStatus"
     from workflow_job job join workflow_run run on run.id = job.run_id
     where job.id = any ($1::uuid[])`,
    [ids],
  )
  return new Map(foundRows.parse(rows).map((job) => [job.id, job]))
}

const foundRows = z.array(
  z.object({
    id: z.string(),
    runId: z.string(),
    stepId: z.string(),
    status: z.enum(jobStatuses),
    seq: z.int(),
    attempt: z.int(),
    claim: z.string().nullable(),
    payload: z.unknown(),
    traceparent: z.string(),
    workflowId: z.string(),
    version: z.int(),
    runStatus: z.enum(runStatuses),
  }),
)
