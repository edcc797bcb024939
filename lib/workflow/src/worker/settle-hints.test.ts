import { expect, test } from 'vitest'
import { createSettling, type SettleEvent } from './settle-hints.ts'

const setup = (most: number, fails = false) => {
  const calls: (readonly string[])[] = []
  const events: SettleEvent[] = []
  const gate = Promise.withResolvers<void>()
  const settling = createSettling({
    most,
    settle: async (runIds) => {
      calls.push(runIds)
      await gate.promise
      if (fails) throw new Error('refused')
    },
    observe: (event) => events.push(event),
  })
  return { ...settling, calls, events, open: gate.resolve }
}

test('hints that come while runs are settled go together, each run once, also one that is being settled', async () => {
  const { hint, done, calls, open } = setup(10)
  hint(['a'])
  hint(['b', 'a'])
  hint(['b'])
  open()
  await done()
  expect(calls).toEqual([['a'], ['b', 'a']])
})

test('no more runs are settled at once than the most', async () => {
  const { hint, done, calls, open } = setup(2)
  open()
  hint(['a', 'b', 'c'])
  await done()
  expect(calls).toEqual([['a', 'b'], ['c']])
})

test('a hint that fails is told once, and the next one is followed', async () => {
  const { hint, done, calls, events, open } = setup(10, true)
  open()
  hint(['a', 'b'])
  await done()
  expect(events).toEqual([{ kind: 'settle.failed', runs: 2, reason: 'refused' }])
  hint([])
  hint(['c'])
  await done()
  expect(calls).toHaveLength(2)
})
