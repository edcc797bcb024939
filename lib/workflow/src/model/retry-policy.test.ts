import fc from 'fast-check'
import { expect, test } from 'vitest'
import { defaultRetryPolicy, retryDelayMs } from './retry-policy.ts'

const withoutJitter = () => 0

test('exponential delays double up to the cap, and end with the last attempt', () => {
  const policy = { maxAttempts: 5, backoff: 'exponential', delayMs: 100, maxDelayMs: 500 } as const
  expect([1, 2, 3, 4, 5].map((attempt) => retryDelayMs(policy, attempt, withoutJitter))).toEqual([
    100,
    200,
    400,
    500,
    null,
  ])
})

test('fixed delays stay the same', () => {
  const policy = { maxAttempts: 3, backoff: 'fixed', delayMs: 100, maxDelayMs: 500 } as const
  expect([1, 2, 3].map((attempt) => retryDelayMs(policy, attempt, withoutJitter))).toEqual([100, 100, null])
})

test('jobs that failed together do not come back together: up to a fifth is taken off', () => {
  const policy = { maxAttempts: 3, backoff: 'fixed', delayMs: 1_000, maxDelayMs: 1_000 } as const
  expect([0, 0.5, 1].map((random) => retryDelayMs(policy, 1, () => random))).toEqual([1_000, 900, 800])
})

test('a delay is never longer than the cap and never shorter than four fifths of its own', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 99 }), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, random) => {
      const policy = { ...defaultRetryPolicy, maxAttempts: 100 }
      const full = retryDelayMs(policy, attempt, withoutJitter)
      const delay = retryDelayMs(policy, attempt, () => random)
      if (full === null || delay === null) throw new Error('an attempt is left')
      expect(delay).toBeLessThanOrEqual(policy.maxDelayMs)
      expect(delay).toBeGreaterThanOrEqual(Math.floor(full * 0.8))
    }),
  )
})
