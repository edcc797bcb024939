import { type InferEntity, defineEntity, p } from '@mikro-orm/postgresql'
import type { JobError } from './workflow-job.ts'

/**
 * What came of an attempt that did not succeed: another one, the same one later, the job's end, or nothing that anybody
 * wrote, as its worker was gone.
 */
export const attemptOutcomes = ['retried', 'snoozed', 'failed', 'cancelled', 'lost'] as const

/**
 * An attempt that did not succeed. Of a job that was put off several times in a row, or lost several times under the same
 * message, it stands for all of them.
 */
export const WorkflowAttempt = defineEntity({
  name: 'WorkflowAttempt',
  tableName: 'workflow_attempt',
  properties: {
    jobId: p.uuid().primary(),
    /** Of the message that brought it, the last one if it stands for several. */
    seq: p.integer().primary(),
    /** Whether the outcome is `lost`: the same message may have brought another attempt, which ended. */
    lost: p.boolean().primary(),
    /** Its number, from 1. What was put off has the number of the attempt that comes after it. */
    attempt: p.integer(),
    outcome: p.enum(attemptOutcomes),
    /** How many it stands for. */
    times: p.integer().default(1),
    error: p.json<JobError>().nullable(),
    worker: p.text(),
    startedAt: p.datetime(),
    endedAt: p.datetime(),
  },
})

export type WorkflowAttempt = InferEntity<typeof WorkflowAttempt>
