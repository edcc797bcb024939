import { expect, onTestFinished, test, vi } from 'vitest'
import { createConfirmClock } from './confirm-clock.ts'

const limits = { deadlineMs: 1_000, isBlocked: () => false }

/** A clock over a channel and a socket of which the test says what becomes of them, and when it found them overdue. */
const createWatched = () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const inFlight = new Set<number>()
  const socket = { bytesWritten: 0, writableLength: 0 }
  const startedMs = performance.now()
  const overdueAt: number[] = []
  const clock = createConfirmClock({
    inFlight: () => inFlight,
    isInFlight: (one) => inFlight.has(one),
    socket,
    onOverdue: () => overdueAt.push(performance.now() - startedMs),
  })
  return { inFlight, socket, clock, overdueAt }
}

test('a broker that goes on confirming is waited for by all batches, however slow it is', () => {
  const { inFlight, clock, overdueAt } = createWatched()
  for (let one = 0; one < 40; one += 1) inFlight.add(one)
  const ends = [clock.start(limits), clock.start(limits)]
  // In order, so that of the second half none is confirmed in twice the deadline's time, and more.
  for (let one = 0; one < 40; one += 1) {
    vi.advanceTimersByTime(300)
    inFlight.delete(one)
  }
  for (const end of ends) end()
  expect(overdueAt).toEqual([])
})

test('without a confirm the channel is overdue within a quarter more than the deadline, whenever the last one came', () => {
  const { inFlight, clock, overdueAt } = createWatched()
  for (const one of [1, 2]) inFlight.add(one)
  const end = clock.start(limits)
  vi.advanceTimersByTime(260)
  inFlight.delete(1)
  vi.advanceTimersByTime(1_250)
  end()
  expect(overdueAt).toEqual([1_500])
})

test('a confirm that does not come is overdue though later ones come and bytes go on leaving, as in a busy lane', () => {
  const { inFlight, socket, clock, overdueAt } = createWatched()
  for (const one of [0, 1]) inFlight.add(one)
  const end = clock.start(limits)
  // All but the first are confirmed, each when the next one was sent, and more waits to be written all the time.
  for (let one = 2; one < 20; one += 1) {
    inFlight.add(one)
    socket.bytesWritten += 100
    socket.writableLength = 50
    vi.advanceTimersByTime(100)
    inFlight.delete(one - 1)
  }
  end()
  expect(overdueAt[0]).toBe(1_250)
})

test('bytes that go on leaving are waited for also behind a confirm that was overtaken and came', () => {
  const { inFlight, socket, clock, overdueAt } = createWatched()
  for (const one of [1, 2]) inFlight.add(one)
  const end = clock.start(limits)
  vi.advanceTimersByTime(250)
  inFlight.delete(2)
  vi.advanceTimersByTime(250)
  inFlight.delete(1)
  inFlight.add(3)
  Object.assign(socket, { bytesWritten: 1_000, writableLength: 1_000 })
  for (let turn = 0; turn < 9; turn += 1) {
    vi.advanceTimersByTime(500)
    socket.writableLength -= 100
  }
  end()
  expect(overdueAt).toEqual([])
})

test('bytes that go on leaving are waited for, and heartbeats beside an empty socket are not', () => {
  const { inFlight, socket, clock, overdueAt } = createWatched()
  inFlight.add(1)
  const end = clock.start(limits)
  Object.assign(socket, { bytesWritten: 1_000, writableLength: 1_000 })
  for (let turn = 0; turn < 9; turn += 1) {
    vi.advanceTimersByTime(500)
    socket.writableLength -= 100
  }
  expect(overdueAt).toEqual([])
  socket.writableLength = 0
  for (let turn = 0; turn < 4; turn += 1) {
    vi.advanceTimersByTime(250)
    socket.bytesWritten += 8
  }
  end()
  expect(overdueAt).not.toEqual([])
})

test('heartbeats that are handed over to a socket which takes nothing are no progress', () => {
  const { inFlight, socket, clock, overdueAt } = createWatched()
  inFlight.add(1)
  Object.assign(socket, { bytesWritten: 1_000, writableLength: 1_000 })
  const end = clock.start(limits)
  for (let turn = 0; turn < 5; turn += 1) {
    socket.bytesWritten += 8
    socket.writableLength += 8
    vi.advanceTimersByTime(250)
  }
  end()
  expect(overdueAt).not.toEqual([])
})

test('while the broker is blocked nothing is overdue, and afterwards not before a whole deadline', () => {
  const { inFlight, clock, overdueAt } = createWatched()
  inFlight.add(1)
  let blocked = true
  const end = clock.start({ ...limits, isBlocked: () => blocked })
  vi.advanceTimersByTime(5_000)
  blocked = false
  vi.advanceTimersByTime(750)
  expect(overdueAt).toEqual([])
  vi.advanceTimersByTime(250)
  end()
  expect(overdueAt).toEqual([6_000])
})
