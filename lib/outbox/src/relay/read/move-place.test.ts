import { expect, test } from 'vitest'
import { createMovePlace } from './move-place.ts'

const last = { at: '2026-11-27 10:00:00+00', id: '7', aboveId: '9', keys: [] }

test('a place is kept for twenty times as long as the move took, and a minute at most', () => {
  let nowMs = 0
  const place = createMovePlace(() => nowMs)
  place.came(null, last, 10)
  nowMs = 199
  expect(place.from()).toEqual(last)
  nowMs = 200
  expect(place.from()).toBeNull()
  // A clock that was set forward by an hour meanwhile.
  place.came(null, last, 3_600_000)
  nowMs += 59_999
  expect(place.from()).toEqual(last)
  nowMs += 1
  expect(place.from()).toBeNull()
})

test('what passed many locked rows rests four times as long as that took, ten seconds at most, and not for a moment', () => {
  let nowMs = 0
  const place = createMovePlace(() => nowMs)
  expect(place.rests()).toBe(false)
  place.passedAll(100)
  expect(place.rests()).toBe(false)
  place.passedAll(200)
  nowMs = 799
  expect(place.rests()).toBe(true)
  nowMs = 800
  expect(place.rests()).toBe(false)
  place.passedAll(60_000)
  nowMs += 9_999
  expect(place.rests()).toBe(true)
  nowMs += 1
  expect(place.rests()).toBe(false)
})
