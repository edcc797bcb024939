import type { StepFunction } from '../function/define-function.ts'
import type { JobError } from '../model/workflow-job.ts'
import type { Ending, HeldJob } from './held-job.ts'
import { defaultRetryPolicy, retryDelayMs } from '../model/retry-policy.ts'

/** How a job goes on after an attempt that came to nothing: how many there were, and the pause; null when it was the last. */
export type NextTry = { attempt: number; delayMs: number | null }

/** The step's own policy goes before its function's. */
export const nextTryOf = (
  { attempt: before, step }: Pick<HeldJob, 'attempt' | 'step'>,
  fn: Pick<StepFunction, 'defaults'>,
  random: () => number,
): NextTry => {
  const policy = { ...defaultRetryPolicy, ...fn.defaults.retry, ...step.retry }
  const attempt = before + 1
  return { attempt, delayMs: retryDelayMs(policy, attempt, random) }
}

export const tryAgain = ({ attempt, delayMs }: NextTry, error: JobError): Ending =>
  delayMs === null ? { kind: 'failed', error } : { kind: 'requeued', attempt, delayMs, error }
