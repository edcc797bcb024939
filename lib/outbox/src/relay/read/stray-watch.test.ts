import { expect, test } from 'vitest'
import { createStrayWatch } from './stray-watch.ts'

test('a search is due at first and until one finds nothing, and then a minute later', () => {
  const clock = { nowMs: 0 }
  const strays = createStrayWatch(() => clock.nowMs)
  expect(strays.isDue()).toBe(true)
  clock.nowMs = 1_000
  expect(strays.isDue()).toBe(true)
  strays.foundNone()
  clock.nowMs = 60_999
  expect(strays.isDue()).toBe(false)
  clock.nowMs = 61_000
  expect(strays.isDue()).toBe(true)
})
