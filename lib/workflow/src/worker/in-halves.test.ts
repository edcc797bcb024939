import { expect, test } from 'vitest'
import { inHalves } from './in-halves.ts'

const cutShort = Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' })
const missing = Object.assign(new Error('relation "workflow_job" does not exist'), { code: '42P01' })

/** Asks for the double of numbers; `refusal` says what a statement with these is refused with, if it is. */
const setup = (refusal: (items: readonly number[], nth: number) => Error | null) => {
  const asked: (readonly number[])[] = []
  let pauses = 0
  const cuts: number[] = []
  const ask = inHalves({
    untilDone: (work) => work(),
    onCutShort: (jobs) => cuts.push(jobs),
    pause: async () => void (pauses += 1),
  })
  const doubled = async (items: readonly number[]) => {
    asked.push(items)
    const refused = refusal(items, asked.length)
    if (refused !== null) throw refused
    return new Map(items.map((item) => [item, 2 * item]))
  }
  return { asked, cuts, pauses: () => pauses, all: (items: readonly number[]) => ask(items, doubled) }
}

const doubles = [1, 2, 3, 4, 5].map((item): [number, number] => [item, 2 * item])

test('what Postgres takes at once is asked for once', async () => {
  const { asked, cuts, all } = setup(() => null)
  expect([...(await all([1, 2, 3, 4, 5]))]).toEqual(doubles)
  expect([asked, cuts]).toEqual([[[1, 2, 3, 4, 5]], []])
})

test('what it gives up is asked for in halves, until they are small enough', async () => {
  const { asked, cuts, all } = setup((items) => (items.length > 2 ? cutShort : null))
  expect([...(await all([1, 2, 3, 4, 5]))]).toEqual(doubles)
  expect(asked).toEqual([[1, 2, 3, 4, 5], [1, 2, 3], [1, 2], [3], [4, 5]])
  expect(cuts).toEqual([5, 3])
})

test('one that it gives up alone is asked for again behind all others, until it is answered', async () => {
  const { asked, pauses, all } = setup((items, nth) => (Math.min(...items) < 3 && nth < 6 ? cutShort : null))
  expect(new Map(await all([1, 2, 3]))).toEqual(new Map(doubles.slice(0, 3)))
  expect(asked).toEqual([[1, 2, 3], [1, 2], [1], [2], [3], [1], [2]])
  // One wait is for all of them.
  expect(pauses()).toBe(1)
})

test('any other refusal is no reason to ask for less', async () => {
  const { asked, all } = setup(() => missing)
  await expect(all([1, 2])).rejects.toThrow(missing.message)
  expect(asked).toHaveLength(1)
})
