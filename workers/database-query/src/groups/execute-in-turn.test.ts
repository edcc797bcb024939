import { expect, test } from 'vitest'
import { patienceMs } from './execute-in-turn.ts'

test('who waits for its turn has half of its time for that, whole milliseconds, or what it can spare', () => {
  expect(patienceMs(20_001, 10)).toBe(10_000)
  expect(patienceMs(8_000, 1_000)).toBe(4_000)
  expect(patienceMs(8_000, 3_000)).toBe(500)
  expect(patienceMs(8_000, 5_000)).toBeLessThanOrEqual(0)
})
