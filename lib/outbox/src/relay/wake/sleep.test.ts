import { expect, test } from 'vitest'
import { nextPauseMs } from './sleep.ts'

test('a lane is looked at five times a second at first, and more and more seldom for a transaction that stays open', () => {
  let [pauseMs, waitedMs, looks] = [2, 0, 0]
  const looksUntil = (endMs: number): number => {
    const before = looks
    for (; waitedMs < endMs; looks++) {
      waitedMs += pauseMs
      pauseMs = nextPauseMs(pauseMs, waitedMs)
      expect(pauseMs).toBeLessThanOrEqual(Math.max(200, 0.05 * waitedMs))
    }
    return looks - before
  }
  expect(looksUntil(4_000)).toBeGreaterThan(20)
  expect(looksUntil(3_600_000)).toBeLessThan(160)
})
