import { expect, test } from 'vitest'
import { reopenPauseMs } from './backoff.ts'

test('pauses double from a quarter of a second and never exceed five seconds', () => {
  expect([1, 2, 3, 5, 6, 50, 5_000].map((attempt) => reopenPauseMs(attempt, () => 1))).toEqual([
    250, 500, 1_000, 4_000, 5_000, 5_000, 5_000,
  ])
})

test('chance takes up to half of a pause away', () => {
  expect(reopenPauseMs(1, () => 0)).toBe(125)
  expect(reopenPauseMs(9, () => 0)).toBe(2_500)
})
