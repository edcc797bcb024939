import * as z from 'zod'

/** How often and when a job is tried again. Delays are milliseconds. */
export const retryPolicySchema = z.strictObject({
  maxAttempts: z.int().min(1).max(100),
  backoff: z.enum(['fixed', 'exponential']),
  delayMs: z.int().min(0).max(86_400_000),
  maxDelayMs: z.int().min(0).max(86_400_000),
})
export type RetryPolicy = z.infer<typeof retryPolicySchema>

/** What holds where neither the step nor its function says otherwise. */
export const defaultRetryPolicy: RetryPolicy = {
  maxAttempts: 5,
  backoff: 'exponential',
  delayMs: 1_000,
  maxDelayMs: 300_000,
}

/**
 * The pause before the next try after `attempt` tries have ended, in milliseconds; null when there is none left. Up to
 * a fifth is taken off at random, so that jobs which failed together do not come back together.
 */
export const retryDelayMs = (policy: RetryPolicy, attempt: number, random: () => number): number | null => {
  if (attempt >= policy.maxAttempts) return null
  const factor = policy.backoff === 'exponential' ? 2 ** Math.min(attempt - 1, 30) : 1
  const delay = Math.min(policy.delayMs * factor, policy.maxDelayMs)
  return Math.round(delay * (1 - 0.2 * random()))
}
