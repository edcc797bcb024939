import { expect, test } from 'vitest'
import { createPointers } from './pointers.ts'
import { createRounds } from './rounds.ts'

/** A lane that was read up to `last`, of which nothing is on its way. */
const laneTo = (last: bigint) => {
  const clock = { nowMs: 0 }
  const pointers = createPointers()
  pointers.sawRow(last)
  const rounds = createRounds(
    { firstMs: 1_000, capMs: 4_000 },
    pointers,
    () => clock.nowMs,
    () => 1,
  )
  const startRead = (lowest: bigint | null = null) => rounds.startRead(pointers.startRead(lowest), lowest)
  /** A read that brings rows up to `to`, which are left; says where it began. */
  const leave = (to: bigint, full = true): bigint => {
    const read = startRead()
    read.answered(to, full)
    read.left(to, null)
    return read.from
  }
  return { clock, pointers, rounds, startRead, leave }
}

test('a round passes the lane once, rests, and the next one begins at the floor, later each time', () => {
  const { clock, rounds, leave } = laneTo(20n)
  for (const waitMs of [1_000, 2_000, 4_000, 4_000]) {
    expect([leave(10n), leave(20n), rounds.begin(0n)]).toEqual([0n, 10n, 20n])
    expect(rounds.nextMs()).toBe(waitMs)
    clock.nowMs += waitMs - 1
    expect(rounds.begin(0n)).toBe(20n)
    clock.nowMs += 1
    expect([rounds.nextMs(), rounds.begin(0n)]).toEqual([0, 0n])
  }
})

test('a round that is due does not begin before the one that is on has passed the lane', () => {
  const { clock, rounds, leave } = laneTo(30n)
  leave(10n)
  clock.nowMs = 5_000
  expect([leave(20n), leave(30n)]).toEqual([10n, 20n])
  expect(rounds.begin(0n)).toBe(30n)
  clock.nowMs = 10_000
  expect(leave(10n)).toBe(0n)
})

test('what comes after a round has begun is passed too, and keeps the next one from nothing', () => {
  const { clock, pointers, rounds, leave } = laneTo(10n)
  leave(10n)
  clock.nowMs = 900
  pointers.sawRow(20n)
  expect(leave(20n)).toBe(10n)
  expect(rounds.begin(0n)).toBe(20n)
  expect(rounds.nextMs()).toBe(100)
})

test('a round is over where the rest of the lane has nothing to be read, or it came to new rows that are taken', () => {
  const short = laneTo(30n)
  short.leave(10n)
  short.clock.nowMs = 1_000
  expect(short.rounds.begin(0n)).toBe(10n)
  short.startRead().answered(null, false)
  expect(short.rounds.begin(0n)).toBe(0n)

  const busy = laneTo(30n)
  busy.leave(10n)
  busy.clock.nowMs = 1_000
  busy.startRead(31n).answered(40n, true)
  expect(busy.rounds.begin(0n)).toBe(0n)
})

test('what is on its way may be left as well: no round ends for it, and none passes it', () => {
  const { clock, rounds, startRead, leave } = laneTo(30n)
  leave(10n)
  clock.nowMs = 1_000
  const read = startRead(15n)
  read.answered(null, false)
  expect(rounds.begin(0n)).toBe(10n)
  read.left(30n, null)
  expect(rounds.begin(0n)).toBe(14n)
  startRead().left(30n, 20n)
  expect(rounds.begin(0n)).toBe(19n)
})

test('a read that passed over rows of a destination that opened meanwhile passes nothing', () => {
  const { pointers, rounds, startRead } = laneTo(30n)
  const read = startRead()
  pointers.goBack(0n)
  read.left(30n, null)
  expect(rounds.begin(0n)).toBe(0n)
})

test('a batch that ends after another round has begun does not pass what that one has not read', () => {
  const { clock, rounds, startRead, leave } = laneTo(20n)
  leave(20n)
  const late = startRead()
  clock.nowMs = 1_000
  startRead()
  late.left(30n, null)
  expect(rounds.begin(0n)).toBe(0n)
})

test('once a read from the floor finds nothing, none is left and the next round waits as the first did', () => {
  const { clock, rounds, startRead, leave } = laneTo(20n)
  expect(rounds.nextMs()).toBeNull()
  for (const waitMs of [1_000, 2_000]) {
    leave(20n, false)
    expect(rounds.nextMs()).toBe(waitMs)
    clock.nowMs += waitMs
  }
  startRead().answered(null, false)
  expect(rounds.nextMs()).toBeNull()
  leave(20n, false)
  expect(rounds.nextMs()).toBe(1_000)
})

test('a floor that is higher than what was passed is where reads begin', () => {
  const { rounds, leave } = laneTo(20n)
  leave(20n)
  expect(rounds.begin(25n)).toBe(25n)
})
