import { expect, onTestFinished, test, vi } from 'vitest'
import { createOverlap } from './overlap.ts'

const batch = () => Promise.withResolvers<void>()

const isPending = async (promise: Promise<unknown>): Promise<boolean> => {
  const pending = Symbol('pending')
  return (await Promise.race([promise, new Promise((resolve) => setImmediate(resolve, pending))])) === pending
}

test('there is room when few enough rows are on their way', async () => {
  const overlap = createOverlap()
  const [first, second] = [batch(), batch()]
  overlap.add(10, () => first.promise)
  overlap.add(10, () => second.promise)
  await overlap.room(20)
  const room = overlap.room(10)
  expect(await isPending(room)).toBe(true)
  second.resolve()
  await room
  expect(await isPending(overlap.room(9))).toBe(true)
  first.resolve()
})

test('a batch that fails is told to whoever waits for room, at once and from then on', async () => {
  const overlap = createOverlap()
  const [first, second] = [batch(), batch()]
  overlap.add(10, () => first.promise)
  overlap.add(10, () => second.promise)
  const room = overlap.room(0)
  const error = new Error('the session ended')
  first.reject(error)
  await expect(room).rejects.toBe(error)
  await expect(overlap.room(100)).rejects.toBe(error)
  const ended = overlap.ended()
  expect(await isPending(ended)).toBe(true)
  second.resolve()
  await ended
})

test('while it is tight there is room for a batch when none is on its way', async () => {
  const overlap = createOverlap()
  await overlap.room(100, () => true)
  const [first, second] = [batch(), batch()]
  overlap.add(10, () => first.promise)
  overlap.add(10, () => second.promise)
  const room = overlap.room(100, () => true)
  first.resolve()
  expect(await isPending(room)).toBe(true)
  second.resolve()
  await room
})

test('a batch that ends when it is tight no more makes room, though others are on their way', async () => {
  const overlap = createOverlap()
  const [first, second] = [batch(), batch()]
  overlap.add(10, () => first.promise)
  overlap.add(10, () => second.promise)
  let isTight = true
  const room = overlap.room(100, () => isTight)
  isTight = false
  first.resolve()
  await room
  second.resolve()
})

test('rows that have left a batch make room while the rest of their batch is on its way', async () => {
  const overlap = createOverlap()
  const rest = batch()
  const some = batch()
  overlap.add(10, async (leave) => {
    await some.promise
    leave(8)
    await rest.promise
  })
  const room = overlap.room(2)
  expect(await isPending(room)).toBe(true)
  some.resolve()
  await room
  expect(await isPending(overlap.room(1))).toBe(true)
  rest.resolve()
  await overlap.room(0)
})

test('who waits for a while is told whether all have ended by then, and of a failure', async () => {
  const overlap = createOverlap()
  expect(await overlap.endsWithin(1)).toBe(true)
  const [first, second] = [batch(), batch()]
  overlap.add(10, () => first.promise)
  expect(await overlap.endsWithin(1)).toBe(false)
  const ends = overlap.endsWithin(600_000)
  first.resolve()
  expect(await ends).toBe(true)
  overlap.add(10, () => second.promise)
  const fails = overlap.endsWithin(600_000)
  second.reject(new Error('the session ended'))
  await expect(fails).rejects.toThrow('the session ended')
})

test('one is late by when it began, whatever has ended since, and no longer when it has ended', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => void vi.useRealTimers())
  const overlap = createOverlap()
  expect(overlap.isLate(0)).toBe(false)
  const [first, second] = [batch(), batch()]
  overlap.add(10, () => first.promise)
  vi.advanceTimersByTime(60)
  overlap.add(10, () => second.promise)
  vi.advanceTimersByTime(40)
  expect([overlap.isLate(100), overlap.isLate(101)]).toEqual([true, false])
  first.resolve()
  await overlap.room(10)
  await new Promise(setImmediate)
  expect([overlap.isLate(40), overlap.isLate(41)]).toEqual([true, false])
  second.resolve()
  await overlap.ended()
  expect(overlap.isLate(0)).toBe(false)
})
