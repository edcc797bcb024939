import { expect, test } from 'vitest'
import { retryAfterMs } from './retry-after.ts'

test.each([
  ['0', 0],
  ['120', 120_000],
  ['9'.repeat(400), 3_153_600_000_000],
  ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
  ['Wed, 31 Dec 2025 23:59:59 GMT', 0],
  ['-1', undefined],
  ['1.5', undefined],
  ['soon', undefined],
  ['', undefined],
  [undefined, undefined],
])('Retry-After %j is a wait of %j ms', (value, ms) => {
  expect(retryAfterMs(value, Date.UTC(2026, 0, 1))).toBe(ms)
})
