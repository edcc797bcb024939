import { expect, test } from 'vitest'
import { createOrphanWatch } from './orphan-watch.ts'

test('a lane rests twenty times as long as the look took that found nothing', () => {
  let nowMs = 0
  const watch = createOrphanWatch(() => nowMs)
  expect(watch.resting()).toEqual([])
  watch.foundNone(7, 1_000)
  nowMs = 19_999
  expect(watch.resting()).toEqual([7])
  nowMs = 20_000
  expect(watch.resting()).toEqual([])
})

test('one slow look has its own lane rest, for a minute at most, and others as long as theirs took', () => {
  let nowMs = 0
  const watch = createOrphanWatch(() => nowMs)
  watch.foundNone(1, 60_000)
  watch.foundNone(2, 2)
  nowMs = 79
  expect(watch.resting()).toEqual([1, 2])
  nowMs = 80
  expect(watch.resting()).toEqual([1])
  nowMs = 60_000
  expect(watch.resting()).toEqual([])
})

test('a lane that has an owner meanwhile does not rest when that is gone', () => {
  const watch = createOrphanWatch(() => 0)
  watch.foundNone(1, 1_000)
  watch.foundNone(2, 1_000)
  watch.foundOwned(1)
  expect(watch.resting()).toEqual([2])
})

test('however many lanes take long, all of them together have a twentieth of the time', () => {
  let nowMs = 0
  let lookedMs = 0
  const watch = createOrphanWatch(() => nowMs)
  const counts = new Map<number, number>()
  const lanes = Array.from({ length: 10 }, (_, index) => ({ lane: index, ms: 30 * (index + 1) }))
  // A sweep has time for one of them, by chance; here the one that was looked into least.
  while (nowMs < 2_000_000) {
    const resting = new Set(watch.resting())
    const [next] = lanes
      .filter(({ lane }) => !resting.has(lane))
      .toSorted((one, other) => (counts.get(one.lane) ?? 0) - (counts.get(other.lane) ?? 0))
    nowMs += 1_600
    if (next === undefined) continue
    nowMs += next.ms
    lookedMs += next.ms
    counts.set(next.lane, (counts.get(next.lane) ?? 0) + 1)
    watch.foundNone(next.lane, next.ms)
  }
  expect(lookedMs / nowMs).toBeLessThan(0.06)
  expect(lookedMs / nowMs).toBeGreaterThan(0.03)
  expect(counts.size).toBe(lanes.length)
})
