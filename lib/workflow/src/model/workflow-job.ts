import { type InferEntity, defineEntity, p } from '@mikro-orm/postgresql'
import { jobStatuses } from './job-status.ts'

/** Why a job, or its last attempt, failed. */
export type JobError = { code: string; message: string }

/** One task at one step in one run: what the client sees and acts on. */
export const WorkflowJob = defineEntity({
  name: 'WorkflowJob',
  tableName: 'workflow_job',
  properties: {
    id: p.uuid().primary(),
    runId: p.uuid(),
    stepId: p.uuid(),
    parentId: p.uuid().nullable(),
    /** Its place among the items that its parent gave, from 0. */
    itemIndex: p.integer().nullable(),
    status: p.enum(jobStatuses),
    /** Which of its messages is the valid one; every requeue raises it. */
    seq: p.integer().default(1),
    /** Tries that have ended. */
    attempt: p.integer().default(0),
    /** How many children it has brought about so far. */
    emitted: p.integer().default(0),
    /** Where its function goes on after its last page. */
    cursor: p.json<unknown>().nullable(),
    /** The claim of the hidden children that are being accepted, when its function is done. */
    accepted: p.uuid().nullable(),
    /** How often a person sent it again. */
    revision: p.integer().default(0),
    /** Who may write it: null for the first delivery of a short job, else the token of the delivery that took it over. */
    claim: p.uuid().nullable(),
    payload: p.json<unknown>().nullable(),
    output: p.json<unknown>().nullable(),
    error: p.json<JobError>().nullable(),
    runAfter: p.datetime().nullable(),
    enqueuedAt: p.datetime().nullable(),
    /** The root of the job's trace, as the W3C header has it. */
    traceparent: p.text(),
    worker: p.text().nullable(),
    /** When its worker last said that it has it; null while no long attempt is under way. */
    beatAt: p.datetime().nullable(),
    createdAt: p.datetime().defaultRaw('now()'),
    startedAt: p.datetime().nullable(),
    finishedAt: p.datetime().nullable(),
  },
})

export type WorkflowJob = InferEntity<typeof WorkflowJob>
