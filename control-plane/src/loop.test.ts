import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type LoopEvent, startLoop } from './loop.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

const setup = (turn: (turns: number) => Promise<number>) => {
  const events: LoopEvent[] = []
  const counted = { turns: 0 }
  const loop = startLoop(
    'test',
    () => {
      counted.turns += 1
      return turn(counted.turns)
    },
    (event) => events.push(event),
  )
  return { loop, events, counted }
}

test('turns follow each other after the pause that each asks for', async () => {
  const { loop, counted } = setup(async () => 1_000)
  await vi.advanceTimersByTimeAsync(2_999)
  expect(counted.turns).toBe(3)
  await vi.advanceTimersByTimeAsync(1)
  expect(counted.turns).toBe(4)
  await loop.stop()
})

test('a ring begins the next turn at once', async () => {
  const { loop, counted } = setup(async () => 60_000)
  await vi.advanceTimersByTimeAsync(10)
  loop.wake()
  await vi.advanceTimersByTimeAsync(0)
  expect(counted.turns).toBe(2)
  await loop.stop()
})

test('a ring during a turn leads to one more turn', async () => {
  const first = Promise.withResolvers<number>()
  const { loop, counted } = setup((turns) => (turns === 1 ? first.promise : Promise.resolve(60_000)))
  loop.wake()
  loop.wake()
  await vi.advanceTimersByTimeAsync(100)
  expect(counted.turns).toBe(1)
  first.resolve(60_000)
  await vi.advanceTimersByTimeAsync(100)
  expect(counted.turns).toBe(2)
  await loop.stop()
})

test('a turn that fails is tried again, ever more slowly, and its recovery is told', async () => {
  const { loop, events, counted } = setup(async (turns) => {
    if (turns <= 3) throw new Error(`no ${turns}`)
    return 60_000
  })
  await vi.advanceTimersByTimeAsync(10_000)
  expect(counted.turns).toBe(4)
  expect(events.map(({ kind, failures }) => `${kind} ${failures}`)).toEqual([
    'loop.failed 1',
    'loop.failed 2',
    'loop.failed 3',
    'loop.recovered 3',
  ])
  await loop.stop()
})

test('stopping waits for the turn that is under way, and none comes after it', async () => {
  const first = Promise.withResolvers<number>()
  const { loop, counted } = setup(() => first.promise)
  await vi.advanceTimersByTimeAsync(0)
  let stopped = false
  const stop = async () => {
    await loop.stop()
    stopped = true
  }
  const stopping = stop()
  await vi.advanceTimersByTimeAsync(1_000)
  expect(stopped).toBe(false)
  first.resolve(0)
  await stopping
  await vi.advanceTimersByTimeAsync(1_000)
  expect(counted.turns).toBe(1)
})
