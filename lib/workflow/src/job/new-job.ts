import { isSampled, spanContextOf } from '@esteira/service/trace'
import type { OutboxMessage } from '@esteira/outbox'
import type { SpanContext } from '@opentelemetry/api'
import { v7 as uuidv7 } from 'uuid'
import { beginTrace, type Root } from '../trace/begin-trace.ts'
import { jobAttributes } from '../trace/job-attributes.ts'

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

/** `functionName` is whose queue the job goes into, and `cause` what in another job's trace brought it about. */
export const newJob = (
  of: Omit<NewJob, 'id' | 'traceparent'>,
  functionName: string,
  cause?: SpanContext,
): NewJob & Root => {
  const job = { id: uuidv7(), ...of }
  return { ...job, ...beginTrace(job, functionName, cause) }
}

/** What travels: a reference to the job and which of its messages this is, never the work itself. */
export type JobReference = { jobId: string; seq: number }

/**
 * What a message carries on that was put off, as somebody held its job locked: how often it was, and how often the broker
 * had handed out those before it.
 */
export type PutOff = { times: number; deliveries: number }

/** The message that puts a job into the queue of its step's function. */
export const jobMessage = (
  functionName: string,
  job: {
    id: string
    runId: string
    stepId: string
    seq: number
    traceparent: string
    delayMs?: number
    putOff?: PutOff
  },
): OutboxMessage => ({
  routingKey: functionName,
  payload: {
    ...({ jobId: job.id, seq: job.seq } satisfies JobReference),
    ...(job.putOff === undefined ? {} : { putOff: job.putOff }),
  },
  headers: { traceparent: job.traceparent, ...baggageOf(job) },
  ...(job.delayMs === undefined ? {} : { delayMs: job.delayMs }),
})

/**
 * What the relay puts on its span of the message, which it does not look into: W3C baggage, like `traceparent`, and only
 * with a job that is recorded.
 */
const baggageOf = (job: { id: string; runId: string; stepId: string; traceparent: string }): { baggage?: string } => {
  const place = spanContextOf(job.traceparent)
  if (place === undefined || !isSampled(place)) return {}
  const entries = Object.entries(jobAttributes(job)).map(([name, value]) => `${name}=${value}`)
  return { baggage: entries.join(',') }
}
