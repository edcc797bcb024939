import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createSettling, type SettleEvent } from './settle-hints.ts'

const lockedOut = Object.assign(new Error('canceling statement due to lock timeout'), { code: '55P03' })

const setup = (most: number, fails = false) => {
  const locked = new Map<string, PromiseWithResolvers<boolean>>()
  const calls: (readonly string[])[] = []
  const events: SettleEvent[] = []
  /** Has a settle find locks that nobody sees behind it, so often. */
  let unseen = 0
  const pauses: PromiseWithResolvers<void>[] = []
  const gate = Promise.withResolvers<void>()
  const settling = createSettling({
    most,
    settle: async (runIds) => {
      calls.push(runIds)
      await gate.promise
      if (fails) throw new Error('refused')
      unseen -= 1
      if (unseen >= 0 || runIds.some((id) => locked.has(id))) throw lockedOut
    },
    lockedAmong: async () => new Set(locked.keys()),
    untilFree: (runId) => locked.get(runId)?.promise ?? Promise.resolve(true),
    pause: () => {
      const over = Promise.withResolvers<void>()
      pauses.push(over)
      return over.promise
    },
    observe: (event) => events.push(event),
  })
  const hideLocks = (times: number) => {
    unseen = times
  }
  /** Has a run locked, until what it gives is called, with whether it is free then. */
  const lock = (runId: string): ((isFree: boolean) => void) => {
    const released = Promise.withResolvers<boolean>()
    locked.set(runId, released)
    return (isFree) => {
      locked.delete(runId)
      released.resolve(isFree)
    }
  }
  return { ...settling, lock, hideLocks, pauses, calls, events, open: gate.resolve }
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

test('a run that somebody has locked is passed over, and settled when it is free', async () => {
  const { hint, done, lock, calls, events, open } = setup(10)
  const release = lock('b')
  open()
  hint(['a', 'b', 'c'])
  await done()
  expect(calls).toEqual([
    ['a', 'b', 'c'],
    ['a', 'c'],
  ])
  expect(events).toEqual([{ kind: 'settle.held-up', runs: 1, reason: lockedOut.message }])
  release(true)
  await turn()
  await done()
  expect(calls.at(-1)).toEqual(['b'])
})

test('runs of which none is found locked behind a wait that was given up are settled again after a pause', async () => {
  const { hint, done, hideLocks, pauses, calls, events, open } = setup(10)
  hideLocks(1)
  open()
  hint(['a', 'b'])
  await turn()
  await turn()
  expect(events).toEqual([{ kind: 'settle.held-up', runs: 2, reason: lockedOut.message }])
  expect(calls).toHaveLength(1)
  expect(pauses).toHaveLength(1)
  pauses[0]?.resolve()
  await done()
  expect(calls).toEqual([
    ['a', 'b'],
    ['a', 'b'],
  ])
})

test('a run that is waited for no more is left to the sweep', async () => {
  const { hint, done, lock, calls, open } = setup(10)
  const release = lock('a')
  open()
  hint(['a'])
  await done()
  release(false)
  await turn()
  await done()
  expect(calls).toEqual([['a']])
})
