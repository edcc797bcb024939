import { expect, test } from 'vitest'
import { givenUpAlone, inHalves } from './in-halves.ts'

const cutShort = Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' })
const lockedOut = Object.assign(new Error('canceling statement due to lock timeout'), { code: '55P03' })
const silent = Object.assign(new Error('Postgres said nothing for 60000 ms'), { code: 'ETIMEDOUT' })
const missing = Object.assign(new Error('relation "workflow_job" does not exist'), { code: '42P01' })

/** Asks for the double of numbers; `refusal` says what a statement with these is refused with, if it is. */
const setup = (refusal: (items: readonly number[]) => Error | null) => {
  const asked: (readonly number[])[] = []
  const cuts: number[] = []
  const told: unknown[] = []
  const ask = inHalves({
    untilDone: async (work, mayPass) => {
      try {
        return await work()
      } catch (error) {
        expect(mayPass(error), 'what is tried again as it is').toBe(false)
        throw error
      }
    },
    onCutShort: (jobs) => cuts.push(jobs),
  })
  const doubled = async (items: readonly number[]) => {
    asked.push(items)
    const refused = refusal(items)
    if (refused !== null) throw refused
    return new Map(items.flatMap((item) => (item === unknown ? [] : [[item, 2 * item]])))
  }
  const all = (items: readonly number[]) =>
    ask(items, doubled, (index, answer) => told.push([index, answer, asked.length]))
  return { asked, cuts, told, all }
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

for (const error of [cutShort, lockedOut, silent]) {
  test(`one that it gives up alone (${error.code}) is told, and all others are answered`, async () => {
    const { told, all } = setup((items) => (items.includes(2) ? error : null))
    expect(await all([1, 2, 3, unknown])).toEqual([2, givenUpAlone, 6, undefined])
    expect(told).toEqual([
      [0, 2, 3],
      [1, givenUpAlone, 4],
      [2, 6, 5],
      [3, undefined, 5],
    ])
  })
}

test('any other refusal is no reason to ask for less', async () => {
  const { asked, all } = setup(() => missing)
  await expect(all([1, 2])).rejects.toThrow(missing.message)
  expect(asked).toHaveLength(1)
})
