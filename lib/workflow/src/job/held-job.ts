import type { SpanContext } from '@opentelemetry/api'
import type { JobError } from '../model/workflow-job.ts'
import type { NextTry } from './next-try.ts'
import type { RetryPolicy } from '../model/retry-policy.ts'
import type { NextStep, Placed } from '../payload/place-result.ts'

/** A step as its run sees it: the version that the run began with, and where its jobs lead. */
export type StepOfRun = {
  id: string
  version: number
  workflowId: string
  name: string
  functionName: string
  config: Record<string, unknown>
  outputType: 'single' | 'multiple' | null
  retry: Partial<RetryPolicy>
  timeoutMs: number | null
  next: NextStep | null
}

/** What of a job on the belt its end is written with. `seq` and `claim` are what the write is compared with. */
export type JobOnBelt = {
  id: string
  runId: string
  stepId: string
  /** Whose queue it is in. */
  functionName: string
  seq: number
  claim: string | null
  attempt: number
  /** How many children it has brought about so far. */
  emitted: number
  traceparent: string
}

/**
 * A job as a worker holds it to run it. `revision` is how often somebody has sent it again; `cursor` is where its function
 * goes on, null at the beginning; with `accepted` its function is done, and the children that it wrote under that claim
 * are to be accepted.
 */
export type HeldJob = JobOnBelt & {
  revision: number
  payload: unknown
  cursor: unknown
  accepted: string | null
  step: StepOfRun
}

/**
 * How an attempt at a job ended, or that there is none because its run is being cancelled. A requeued job gets a new
 * message after `delayMs` milliseconds; one that is continued gave its items up to `cursor`, and goes on in a new delivery.
 */
export type Ending =
  | { kind: 'succeeded'; placed: Placed }
  | { kind: 'failed'; error: JobError }
  | { kind: 'cancelled' }
  | { kind: 'requeued'; attempt: number; delayMs: number; error: JobError | null }
  | { kind: 'continued'; placed: Placed; cursor: unknown }

/** What of an attempt's end becomes jobs or is kept. */
export const placedOf = (ending: Ending): Placed | null =>
  ending.kind === 'succeeded' || ending.kind === 'continued' ? ending.placed : null

/** Whether writing an attempt's end takes any lock of its job's run: one that comes again is still counted as it was. */
export const movesCounters = (ending: Ending): boolean => ending.kind !== 'requeued'

/**
 * An attempt that ended but is not written yet. `place` is the attempt's in its trace: what its children link to. `nextTry`
 * is how the job goes on if Postgres gives up writing its result.
 */
export type FinishedJob = {
  job: JobOnBelt
  ending: Ending
  elapsedMs: number
  place?: SpanContext
  nextTry?: NextTry
}
