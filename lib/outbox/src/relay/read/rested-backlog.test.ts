import { expect, test } from 'vitest'
import type { ControlSession } from '../own/control-session.ts'
import { createRestedBacklog } from './rested-backlog.ts'

const newSession = (): ControlSession => ({
  query: () => Promise.reject(new Error('nothing is asked')),
  lost: new AbortController().signal,
  fresh: () => true,
  unansweredMs: () => 0,
  giveUp: () => {},
  beat: async () => {},
  close: async () => {},
})

/** A backlog whose measures take so long, each with its number as the rows. */
const createTimed = () => {
  const clock = { nowMs: 0, takesMs: 0 }
  let measures = 0
  const measure = async () => {
    clock.nowMs += clock.takesMs
    measures += 1
    return [{ lane: 'lane', rows: measures, oldestSeconds: 0 }]
  }
  const backlog = createRestedBacklog(measure, () => clock.nowMs)
  const rowsOf = async (session: ControlSession) => (await backlog(session, []))[0]?.rows
  return { clock, rowsOf }
}

test('a measure that took long is given again until it has rested twenty times as long', async () => {
  const { clock, rowsOf } = createTimed()
  const session = newSession()
  clock.takesMs = 1_000
  expect(await rowsOf(session)).toBe(1)
  clock.nowMs += 19_999
  expect(await rowsOf(session)).toBe(1)
  clock.nowMs += 1
  expect(await rowsOf(session)).toBe(2)
})

test('no measure rests for more than five minutes', async () => {
  const { clock, rowsOf } = createTimed()
  const session = newSession()
  clock.takesMs = 60_000
  expect(await rowsOf(session)).toBe(1)
  clock.nowMs += 300_000
  expect(await rowsOf(session)).toBe(2)
})

test('a quick measure does not rest, and none does for another session', async () => {
  const { clock, rowsOf } = createTimed()
  const session = newSession()
  clock.takesMs = 199
  expect(await rowsOf(session)).toBe(1)
  expect(await rowsOf(session)).toBe(2)
  clock.takesMs = 1_000
  expect(await rowsOf(session)).toBe(3)
  expect(await rowsOf(newSession())).toBe(4)
})
