import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { openTimeBudget } from './time-budget.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

/** A budget, and the limits that were reached. */
const open = (limits: Parameters<typeof openTimeBudget>[0]) => {
  const reached: string[] = []
  return { reached, ...openTimeBudget(limits, (limit) => reached.push(limit)) }
}

test('it is spent when its time is used', async () => {
  const { reached } = open({ ms: 100 })
  await pass(99)
  expect(reached).toEqual([])
  await pass(1)
  expect(reached).toEqual(['used'])
})

test('what is waited for does not count, however many waits there are at a time, and whatever comes of them', async () => {
  const { reached, pauseFor } = open({ ms: 100 })
  await pass(60)
  const [first, second] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()]
  const waits = [pauseFor(first.promise), pauseFor(second.promise)]
  await pass(1_000)
  first.resolve('written')
  await pass(1_000)
  second.reject(new Error('refused'))
  expect(await Promise.allSettled(waits)).toMatchObject([{ value: 'written' }, { reason: { message: 'refused' } }])
  await pass(39)
  expect(reached).toEqual([])
  await pass(1)
  expect(reached).toEqual(['used'])
})

test('waits and all, no more than the most passes', async () => {
  const { reached, pauseFor } = open({ ms: 100, mostMs: 500 })
  await pass(60)
  void pauseFor(new Promise(() => undefined))
  await pass(439)
  expect(reached).toEqual([])
  await pass(1)
  expect(reached).toEqual(['passed'])
})

test('behind a wait that took nearly all, the most is what ends it', async () => {
  const { reached, pauseFor } = open({ ms: 100, mostMs: 500 })
  const wait = Promise.withResolvers<void>()
  const waited = pauseFor(wait.promise)
  await pass(450)
  wait.resolve()
  await waited
  await pass(50)
  expect(reached).toEqual(['passed'])
})

test('once it is closed nothing is spent, also by a wait that ends later', async () => {
  const { reached, pauseFor, close } = open({ ms: 100, mostMs: 500 })
  const wait = Promise.withResolvers<void>()
  const waited = pauseFor(wait.promise)
  close()
  wait.resolve()
  await waited
  await pass(1_000)
  expect(reached).toEqual([])
})
