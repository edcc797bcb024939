import { overlaps } from '@esteira/workflow'
import { expect, test } from 'vitest'
import { concurrencyPolicyOf } from './concurrency-policy.ts'

test.each(overlaps)('no tick under overlap %s is kept back or killed for the sake of a Job before it', (overlap) => {
  expect(concurrencyPolicyOf(overlap)).toBe('Allow')
})
