import type { JobError } from '../model/workflow-job.ts'
import type { RetryPolicy } from './retry-policy.ts'
import type { Placed } from './place-result.ts'

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
  next: { id: string; functionName: string } | null
}

/** A job as a worker holds it. `seq` and `claim` are what its writes are compared with. */
export type HeldJob = {
  id: string
  runId: string
  seq: number
  claim: string | null
  attempt: number
  payload: unknown
  traceparent: string
  step: StepOfRun
}

/** How an attempt at a job ended. A requeued job gets a new message after `delayMs` milliseconds. */
export type Ending =
  | { kind: 'succeeded'; placed: Placed }
  | { kind: 'failed'; error: JobError }
  | { kind: 'requeued'; attempt: number; delayMs: number; error: JobError | null }

/** An attempt that ended but is not written yet. */
export type FinishedJob = { job: HeldJob; ending: Ending; elapsedMs: number }
