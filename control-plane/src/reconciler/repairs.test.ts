import { expect, test } from 'vitest'
import { createRepairs } from './repairs.ts'

/** Repairs as soon as it may, for a while; the times at which it did, in seconds. */
const repairFor = (seconds: number, repairs: ReturnType<typeof createRepairs>, clock: { ms: number }): number[] => {
  const found: number[] = []
  const endMs = clock.ms + seconds * 1_000
  for (; clock.ms < endMs; clock.ms += 100) {
    if (!repairs.mayRepair('a')) continue
    repairs.repaired('a')
    found.push(clock.ms / 1_000)
  }
  return found
}

const setup = () => {
  const clock = { ms: 0 }
  return { clock, repairs: createRepairs(() => clock.ms) }
}

test('the first is made at once, and of what is changed again and again ever more rarely', () => {
  const { clock, repairs } = setup()
  const times = repairFor(3_600, repairs, clock)
  expect(times[0]).toBe(0)
  expect(times.filter((at) => at < 5).length).toBeLessThanOrEqual(5)
  expect(times.length).toBeLessThan(40)
  const pauses = times.slice(1).map((at, index) => at - (times[index] ?? 0))
  expect(Math.max(...pauses)).toBeLessThanOrEqual(300)
  // Half an hour on it is still repaired.
  expect(times.at(-1)).toBeGreaterThan(3_000)
})

test('after a time of peace the next is made at once, and counts as the first', () => {
  const { clock, repairs } = setup()
  repairFor(10, repairs, clock)
  clock.ms += 120_000
  expect(repairs.mayRepair('a')).toBe(true)
  expect(repairs.repaired('a')).toBe(1)
})

test('one step waits for no other', () => {
  const { repairs } = setup()
  repairs.repaired('a')
  expect(repairs.mayRepair('a')).toBe(false)
  expect(repairs.mayRepair('b')).toBe(true)
})
