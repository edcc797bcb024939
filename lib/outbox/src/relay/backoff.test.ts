import { expect, test } from 'vitest'
import { backoffMs, spreadMs } from './backoff.ts'

const backoff = { firstMs: 100, capMs: 1_000 }

test('a backoff doubles with every failure up to its cap', () => {
  const waits = [1, 2, 3, 4, 5, 50, 5_000].map((attempt) => backoffMs(attempt, backoff, () => 1))
  expect(waits).toEqual([100, 200, 400, 800, 1_000, 1_000, 1_000])
})

test('chance takes up to half of a backoff away', () => {
  expect(backoffMs(3, backoff, () => 0)).toBe(200)
  expect(backoffMs(3, backoff, () => 0.5)).toBe(300)
})

test('a spread time stays within a fifth of what was asked for', () => {
  expect(spreadMs(1_000, () => 0)).toBe(800)
  expect(spreadMs(1_000, () => 1)).toBe(1_200)
})
