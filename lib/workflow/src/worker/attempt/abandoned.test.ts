import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import * as z from 'zod'
import { type AbandonedEvent, watchAbandoned } from './abandoned.ts'

setFlagsFromString('--expose-gc')
const collect = z.function({ input: [], output: z.void() }).implement(runInNewContext('gc'))

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const minuteMs = 60_000

const setup = (most: number) => {
  const events: AbandonedEvent[] = []
  const abandoned = watchAbandoned({ most, observe: (event) => events.push(event) })
  /** A function that runs on until `end`. */
  const begin = (jobId: string, functionName = 'hangs') => {
    const running = Promise.withResolvers<unknown>()
    const seen = { isFree: false }
    void abandoned.untilFree(functionName, jobId, running.promise).then(() => (seen.isFree = true))
    const end = async (error?: Error) => {
      if (error === undefined) running.resolve('late')
      else running.reject(error)
      await vi.advanceTimersByTimeAsync(0)
    }
    return { seen, end }
  }
  let isStuck = false
  void abandoned.stuck.then(() => (isStuck = true))
  return { events, begin, stop: abandoned.stop, isStuck: () => isStuck }
}

test.each([undefined, new Error('aborted')])(
  'a function that ends soon after its attempt gives its place free then, and nothing is told (%s)',
  async (error) => {
    const { events, begin } = setup(1)
    const { seen, end } = begin('a')
    await vi.advanceTimersByTimeAsync(minuteMs - 1)
    expect(seen.isFree).toBe(false)
    await end(error)
    expect(seen.isFree).toBe(true)
    await vi.advanceTimersByTimeAsync(minuteMs)
    expect(events).toEqual([])
  },
)

test('one that runs on keeps its place for a minute, then another gets it, and that is told', async () => {
  const { events, begin } = setup(2)
  const { seen } = begin('a')
  await vi.advanceTimersByTimeAsync(minuteMs)
  expect(seen.isFree).toBe(true)
  expect(events).toEqual([{ kind: 'function.abandoned', functionName: 'hangs', jobId: 'a', running: 1 }])
})

test('when as many as there are places run on, no more places are given away until one of them ends', async () => {
  const { events, begin } = setup(2)
  const [a, b, c, d, other] = [begin('a'), begin('b'), begin('c'), begin('d'), begin('e', 'other')]
  await vi.advanceTimersByTimeAsync(10 * minuteMs)
  expect([a, b, c, d, other].map(({ seen }) => seen.isFree)).toEqual([true, true, false, false, true])
  expect(events.filter(({ kind }) => kind === 'function.stuck')).toEqual([
    { kind: 'function.stuck', functionName: 'hangs', running: 2 },
  ])
  await d.end()
  expect([c, d].map(({ seen }) => seen.isFree)).toEqual([false, true])
  await b.end(new Error('at last'))
  expect(c.seen.isFree).toBe(true)
  expect(events.at(-1)).toEqual({ kind: 'function.abandoned', functionName: 'hangs', jobId: 'c', running: 2 })
  const [e] = [begin('f')]
  await vi.advanceTimersByTimeAsync(minuteMs)
  expect(e.seen.isFree).toBe(false)
})

test('a worker in which one waits for a place for three minutes is to end, and that is told once', async () => {
  const { events, begin, isStuck } = setup(1)
  const [, b] = [begin('a'), begin('b')]
  await vi.advanceTimersByTimeAsync(3 * minuteMs)
  // The first that waited has ended, and others wait: for them it is three minutes from then on.
  await b.end()
  begin('c')
  begin('d')
  await vi.advanceTimersByTimeAsync(4 * minuteMs - 1)
  expect(isStuck()).toBe(false)
  await vi.advanceTimersByTimeAsync(minuteMs)
  expect(isStuck()).toBe(true)
  expect(events.filter(({ kind }) => kind === 'worker.stuck')).toEqual([
    { kind: 'worker.stuck', functionName: 'hangs', running: 1 },
  ])
})

test('one whose functions end at last goes on, however many wait for each other', async () => {
  const { begin, isStuck } = setup(1)
  let last = begin('first')
  for (let next = 0; next < 10; next += 1) {
    const waits = begin(`${next}`)
    await vi.advanceTimersByTimeAsync(2 * minuteMs)
    await last.end()
    last = waits
  }
  await vi.advanceTimersByTimeAsync(30 * minuteMs)
  expect(isStuck()).toBe(false)
})

test('a worker that stops waits for none', async () => {
  const { begin, stop } = setup(1)
  const [a, b] = [begin('a'), begin('b')]
  await vi.advanceTimersByTimeAsync(minuteMs)
  stop()
  const c = begin('c')
  await vi.advanceTimersByTimeAsync(0)
  expect([a, b, c].every(({ seen }) => seen.isFree)).toBe(true)
})

test('nothing is kept of functions that have ended', async () => {
  vi.useRealTimers()
  const abandoned = watchAbandoned({ most: 1, observe: () => {} })
  const end = async (functions: number) => {
    for (let ended = 0; ended < functions; ended += 1) await abandoned.untilFree('ends', 'a', Promise.resolve())
    collect()
    return process.memoryUsage().heapUsed
  }
  const before = await end(1_000)
  expect(((await end(50_000)) - before) / 50_000, 'bytes each').toBeLessThan(100)
  abandoned.stop()
})
