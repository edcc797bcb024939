import { expect, test } from 'vitest'
import { inHalves } from './in-halves.ts'

const cutShort = Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' })
const lockedOut = Object.assign(new Error('canceling statement due to lock timeout'), { code: '55P03' })
const missing = Object.assign(new Error('relation "workflow_job" does not exist'), { code: '42P01' })

/** Asks for the double of numbers; `refusal` says what a statement with these is refused with, if it is. */
const setup = (refusal: (items: readonly number[], nth: number) => Error | null) => {
  const asked: (readonly number[])[] = []
  let pauses = 0
  const cuts: number[] = []
  const told: unknown[] = []
  const ask = inHalves({
    untilDone: (work) => work(),
    onCutShort: (jobs) => cuts.push(jobs),
    pause: async () => void (pauses += 1),
  })
  const doubled = async (items: readonly number[]) => {
    asked.push(items)
    const refused = refusal(items, asked.length)
    if (refused !== null) throw refused
    return new Map(items.flatMap((item) => (item === unknown ? [] : [[item, 2 * item]])))
  }
  const all = (items: readonly number[]) =>
    ask(items, doubled, (index, answer) => told.push([index, answer, asked.length]))
  return { asked, cuts, told, pauses: () => pauses, all }
}

/** One of which there is nothing to be answered. */
const unknown = 7

test('what Postgres takes at once is asked for once', async () => {
  const { asked, cuts, all } = setup(() => null)
  expect(await all([1, 2, unknown, 2])).toEqual([2, 4, undefined, 4])
  expect([asked, cuts]).toEqual([[[1, 2, unknown, 2]], []])
})

test('what it gives up is asked for in halves, until they are small enough', async () => {
  const { asked, cuts, all } = setup((items) => (items.length > 2 ? cutShort : null))
  expect(await all([1, 2, 3, 4, 5])).toEqual([2, 4, 6, 8, 10])
  expect(asked).toEqual([[1, 2, 3, 4, 5], [1, 2, 3], [1, 2], [3], [4, 5]])
  expect(cuts).toEqual([5, 3])
})

test('one that it gives up alone is asked for again behind all others, until it is answered', async () => {
  const { asked, told, pauses, all } = setup((items, nth) => (Math.min(...items) < 3 && nth < 6 ? cutShort : null))
  expect(await all([1, 2, 3])).toEqual([2, 4, 6])
  expect(asked).toEqual([[1, 2, 3], [1, 2], [1], [2], [3], [1], [2]])
  // One wait is for all of them.
  expect(pauses()).toBe(1)
  // After the fifth statement, before the first two were asked for again.
  expect(told[0]).toEqual([2, 6, 5])
})

test('one that waits for a lock which somebody else has holds up no other', async () => {
  const { told, all } = setup((items, nth) => (items.includes(2) && nth < 9 ? lockedOut : null))
  expect(await all([1, 2, 3, unknown])).toEqual([2, 4, 6, undefined])
  expect(told).toEqual([
    [0, 2, 3],
    [2, 6, 5],
    [3, undefined, 5],
    [1, 4, 9],
  ])
})

test('any other refusal is no reason to ask for less', async () => {
  const { asked, all } = setup(() => missing)
  await expect(all([1, 2])).rejects.toThrow(missing.message)
  expect(asked).toHaveLength(1)
})
