import { expect, test } from 'vitest'
import { afterLateConfirms } from './late-confirms.ts'

const silent = { confirmed: 0, refused: 0 }

test('while nothing goes through, the waits double from a tenth of a second to ten seconds', () => {
  const waits: number[] = []
  let attempt = 0
  for (let pass = 0; pass < 10; pass += 1) {
    const next = afterLateConfirms(silent, attempt, () => 1)
    attempt = next.attempt
    waits.push(next.retryInMs)
  }
  expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000])
})

test('a pass of which anything was answered is the first one again, and is not followed at once', () => {
  for (const answered of [
    { confirmed: 1, refused: 0 },
    { confirmed: 0, refused: 1 },
  ]) {
    expect(afterLateConfirms(answered, 7, () => 0)).toEqual({ attempt: 1, retryInMs: 50 })
  }
})
