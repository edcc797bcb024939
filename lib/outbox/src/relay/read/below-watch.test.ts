import { expect, test } from 'vitest'
import { createBelowWatch } from './below-watch.ts'

const watching = () => {
  const clock = { nowMs: 0 }
  return { clock, watch: createBelowWatch(() => clock.nowMs) }
}

test('a look begins at the floor when that was believed for a minute, and where there is anything below it', () => {
  const { clock, watch } = watching()
  clock.nowMs = 59_999
  expect(watch.from(500n)).toBeNull()
  clock.nowMs = 60_000
  expect(watch.from(0n)).toBeNull()
  expect(watch.from(500n)).toBe(500n)
})

test('it goes on from where it came, after a rest of twenty times as long, whatever the floor rose to', () => {
  const { clock, watch } = watching()
  clock.nowMs = 60_000
  watch.came(300n, 50)
  clock.nowMs = 60_999
  expect(watch.from(900n)).toBeNull()
  clock.nowMs = 61_000
  expect(watch.from(900n)).toBe(300n)
  expect(watch.from(200n)).toBe(200n)
})

test('a look rests for a minute at most: the clock of Postgres may have been set forward meanwhile', () => {
  const { clock, watch } = watching()
  clock.nowMs = 60_000
  watch.came(300n, 3_600_000)
  clock.nowMs = 119_999
  expect(watch.from(900n)).toBeNull()
  clock.nowMs = 120_000
  expect(watch.from(900n)).toBe(300n)
})

test('the next look begins a minute after one that came to the end', () => {
  const { clock, watch } = watching()
  clock.nowMs = 60_000
  watch.came(300n, 50)
  clock.nowMs = 61_000
  watch.came(0n, 50)
  clock.nowMs = 120_999
  expect(watch.from(900n)).toBeNull()
  clock.nowMs = 121_000
  expect(watch.from(900n)).toBe(900n)
})
