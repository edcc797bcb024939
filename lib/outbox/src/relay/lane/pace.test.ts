import { expect, test } from 'vitest'
import { createPace } from './pace.ts'

test('a lane that is busy is looked after four times a second, one that was idle at once', () => {
  const clock = { nowMs: 0 }
  const pace = createPace(() => clock.nowMs)
  expect(pace.isDue()).toBe(true)
  clock.nowMs = 249
  expect(pace.isDue()).toBe(false)
  clock.nowMs = 250
  expect(pace.isDue()).toBe(true)
  expect(pace.isDue()).toBe(false)
  pace.idled()
  expect(pace.isDue()).toBe(true)
})
