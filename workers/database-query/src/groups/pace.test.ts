import { expect, test } from 'vitest'
import { createPace } from './pace.ts'

test('the first runs of a statement are alone, as many at a time as there are sessions', () => {
  const pace = createPace({ sessions: 10, mayMeet: true })
  expect([pace.most(), pace.atOnce()]).toEqual([1, 10])
})

test.each([
  ['quick', 10, 100, 200, 1],
  ['less quick', 20, 10, 50, 1],
  ['slow', 400, 4, 1, 10],
])('after %s runs so many share a transaction as take a tenth of a second', (_, ms, runs, most, atOnce) => {
  const pace = createPace({ sessions: 10, mayMeet: true })
  pace.took(ms, runs)
  expect([pace.most(), pace.atOnce()]).toEqual([most, atOnce])
})

test('runs that stood in each other’s way are alone for a minute, however quick', () => {
  let nowMs = 0
  const pace = createPace({ sessions: 10, mayMeet: true, now: () => nowMs })
  pace.took(1, 100)
  pace.goAlone()
  pace.took(1, 1)
  expect([pace.most(), pace.atOnce()]).toEqual([1, 10])
  nowMs = 60_000
  expect([pace.most(), pace.atOnce()]).toEqual([100, 1])
})

test.each([
  [10, 2],
  [1, 1],
])('where runs do not meet, with %i sessions, %i quick transactions are under way at a time', (sessions, atOnce) => {
  const pace = createPace({ sessions, mayMeet: false })
  pace.took(10, 100)
  expect([pace.most(), pace.atOnce()]).toEqual([200, atOnce])
})
