import { v7 as uuidv7 } from 'uuid'
import type { OutboxMessage } from '@esteira/outbox'
import { newTraceparent } from '../trace/traceparent.ts'

/** A job that is about to be written, with an id that sorts by time. */
export type NewJob = {
  id: string
  runId: string
  stepId: string
  parentId: string | null
  itemIndex: number | null
  payload: unknown
  traceparent: string
}

export const newJob = (of: Omit<NewJob, 'id' | 'traceparent'>): NewJob => ({
  id: uuidv7(),
  traceparent: newTraceparent(),
  ...of,
})

/** What travels: a reference to the job and which of its messages this is, never the work itself. */
export type JobReference = { jobId: string; seq: number }

/** The message that puts a job into the queue of its step's function. */
export const jobMessage = (
  functionName: string,
  job: { id: string; seq: number; traceparent: string; delayMs?: number },
): OutboxMessage => ({
  routingKey: functionName,
  payload: { jobId: job.id, seq: job.seq } satisfies JobReference,
  headers: { traceparent: job.traceparent },
  ...(job.delayMs === undefined ? {} : { delayMs: job.delayMs }),
})
