import { expect, test } from 'vitest'
import { createAskTogether } from './ask-together.ts'
import { gather } from '../../gather/gather.ts'

const cutShort = Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' })
const broken = Object.assign(new Error('invalid page in block 7'), { code: 'XX001' })

/** Two kinds of questions, each with two places for its groups; a statement with a negative number ends as the test wants. */
const setup = () => {
  const asked: (readonly number[])[] = []
  const waiting: { items: readonly number[]; end: PromiseWithResolvers<void> }[] = []
  const askTogether = createAskTogether({
    untilDone: (work) => work(),
    onCutShort: () => {},
    pause: () => new Promise(setImmediate),
  })
  const ask = async (items: readonly number[]) => {
    asked.push(items)
    if (items.some((item) => item < 0)) {
      const end = Promise.withResolvers<void>()
      waiting.push({ items, end })
      await end.promise
    }
    return new Map(items.map((item) => [item, 2 * item]))
  }
  const open = () => askTogether((flush) => gather({ most: 10, atOnce: 2 }, flush), ask)
  /** The statement that waits for its end for the longest time. */
  const first = async () => {
    await expect.poll(() => waiting.length).toBeGreaterThan(0)
    return waiting.shift()
  }
  const giveUp = async () => {
    const one = await first()
    one?.end.reject(cutShort)
    return one?.items
  }
  return { find: open(), claim: open(), asked, waiting, first, giveUp }
}

test('those that are given up alone have one place together, in turn, and all others pass', async () => {
  const { find, claim, waiting, first, giveUp } = setup()
  const stuck = [find(-1), claim(-2), find(-3)]
  const together = [await giveUp(), await giveUp(), await giveUp()].map(String)
  expect(together.toSorted()).toEqual(['-1', '-1,-3', '-2'])
  expect(await giveUp()).toEqual([-3])
  // From here on each of them is alone.
  const turns: unknown[] = []
  for (let turn = 0; turn < 6; turn += 1) {
    turns.push(...((await giveUp()) ?? []))
    expect(waiting.length).toBeLessThanOrEqual(1)
    expect(await Promise.all([find(1), claim(2)])).toEqual([2, 4])
  }
  for (const item of [-1, -2, -3]) expect(turns.filter((one) => one === item)).toHaveLength(2)
  for (const _ of stuck) (await first())?.end.resolve()
  expect(await Promise.all(stuck)).toEqual([-2, -4, -6])
})

test('one that is refused for good behind its line leaves it, and the others go on', async () => {
  const { find, first, giveUp } = setup()
  const [bad, good] = [find(-1), find(-2)]
  for (let times = 0; times < 3; times += 1) await giveUp()
  const ends = Promise.allSettled([bad, good])
  for (let turn = 0; turn < 2; turn += 1) {
    const one = await first()
    if (one?.items[0] === -1) one.end.reject(broken)
    else one?.end.resolve()
  }
  expect(await ends).toEqual([
    { status: 'rejected', reason: broken },
    { status: 'fulfilled', value: -4 },
  ])
})
