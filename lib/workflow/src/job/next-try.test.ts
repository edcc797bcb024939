import { expect, test } from 'vitest'
import { aStep } from '../../test/a-job.ts'
import { defaultRetryPolicy } from '../model/retry-policy.ts'
import { nextTryOf } from './next-try.ts'

const withoutJitter = () => 0

test('a job is tried again as its step says, else as its function does, else as all are', () => {
  const fn = (retry: object) => ({ defaults: { retry, timeoutMs: 1_000 } })
  const job = (retry: object) => ({ attempt: 0, step: { ...aStep, retry } })
  const fixed = { backoff: 'fixed' } as const
  const delaysOf = (step: object, ofFunction: object) => nextTryOf(job(step), fn(ofFunction), withoutJitter)
  expect(delaysOf({ ...fixed, delayMs: 10 }, { ...fixed, delayMs: 20 })).toEqual({ attempt: 1, delayMs: 10 })
  expect(delaysOf({}, { ...fixed, delayMs: 20 })).toEqual({ attempt: 1, delayMs: 20 })
  expect(delaysOf({}, {})).toEqual({ attempt: 1, delayMs: defaultRetryPolicy.delayMs })
})
