import { expect, test, vi } from 'vitest'
import { refusedBackoff } from '../backoff.ts'
import { createHeldRows } from './held-rows.ts'

const heldRows = () => {
  const clock = { nowMs: 0 }
  const opened = vi.fn<() => void>()
  return {
    clock,
    opened,
    held: createHeldRows(
      refusedBackoff,
      opened,
      () => clock.nowMs,
      () => 1,
    ),
  }
}

test('a row waits until its time comes, and longer after every refusal', () => {
  const { clock, held } = heldRows()
  expect(held.hold({ id: 7n, key: 'a' }, false)).toMatchObject({ attempt: 1, retryInMs: 1_000 })
  expect(held.waiting()).toEqual([7n])
  clock.nowMs = 999
  expect(held.waiting()).toEqual([7n])
  expect(held.due()).toEqual([])
  clock.nowMs = 1_000
  expect(held.waiting()).toEqual([])
  expect(held.due()).toEqual([7n])
  expect(held.hold({ id: 7n, key: 'a' }, false)).toMatchObject({ attempt: 2, retryInMs: 2_000 })
})

test('a wait is a minute at most', () => {
  const { held } = heldRows()
  const last = Array.from({ length: 30 }, () => held.hold({ id: 1n, key: 'a' }, false)).at(-1)
  expect(last).toMatchObject({ attempt: 30, retryInMs: 60_000 })
})

test('the next row to try is the one whose time comes first', () => {
  const { clock, held } = heldRows()
  expect(held.nextMs()).toBeNull()
  held.hold({ id: 1n, key: 'a' }, false)
  clock.nowMs = 400
  held.hold({ id: 2n, key: 'a' }, false)
  expect(held.nextMs()).toBe(600)
  clock.nowMs = 5_000
  expect(held.nextMs()).toBe(0)
})

test('a row that is out is forgotten, a row that closed the channel is remembered for it', () => {
  const { held } = heldRows()
  held.hold({ id: 1n, key: 'a' }, true)
  held.hold({ id: 2n, key: 'a' }, false)
  expect([1n, 2n, 3n].map(held.closedChannel)).toEqual([true, false, false])
  held.release(1n)
  expect(held.closedChannel(1n)).toBe(false)
  expect(held.waiting()).toEqual([2n])
})

test('a destination is closed while one row is tried for it, and open once that went through or is gone', () => {
  const { held, opened } = heldRows()
  const [one, other] = ['one', 'other'].map((routingKey) => ({ exchange: '', routingKey }))
  held.hold({ id: 1n, key: '' }, false, one)
  held.hold({ id: 2n, key: '' }, false, one)
  held.hold({ id: 3n, key: '' }, false, other)
  held.hold({ id: 4n, key: '' }, false)
  expect(held.closed()).toEqual([one, other])
  for (const id of [2n, 4n, 5n]) held.wentThrough(id)
  expect(held.closed()).toEqual([one, other])
  expect(opened).not.toHaveBeenCalled()
  held.wentThrough(3n)
  expect(held.closed()).toEqual([one])
  held.release(1n)
  expect(held.closed()).toEqual([])
  expect(opened).toHaveBeenCalledTimes(2)
  expect(held.isEmpty()).toBe(true)
})

test('a destination is open once its row is refused for another sake', () => {
  const { held, opened } = heldRows()
  held.hold({ id: 1n, key: '' }, false, { exchange: '', routingKey: 'one' })
  held.hold({ id: 1n, key: '' }, true)
  expect(opened).toHaveBeenCalledTimes(1)
  expect(held.closed()).toEqual([])
  expect(held.waiting()).toEqual([1n])
})

test('of a closed destination one row is tried, later and later', () => {
  const { clock, held } = heldRows()
  const one = { exchange: '', routingKey: 'one' }
  expect(held.hold({ id: 1n, key: '' }, false, one)).toMatchObject({ attempt: 1, retryInMs: 1_000 })
  clock.nowMs = 400
  for (const id of [2n, 3n])
    expect(held.hold({ id, key: '' }, false, one)).toMatchObject({ attempt: 1, retryInMs: 600 })
  clock.nowMs = 60_000
  expect(held.due()).toEqual([1n])
  expect(held.hold({ id: 1n, key: '' }, false, one)).toMatchObject({ attempt: 2, retryInMs: 2_000 })
  clock.nowMs = 120_000
  expect(held.due()).toEqual([1n])
})

test('when the row that is tried is parked, those that were refused with it have one try each', () => {
  const { clock, held, opened } = heldRows()
  const one = { exchange: '', routingKey: 'one' }
  for (let id = 1n; id <= 5n; id += 1n) held.hold({ id, key: '' }, true, one)
  expect(held.hold({ id: 1n, key: '' }, true, one)).toMatchObject({ attempt: 2 })
  held.parked(1n)
  expect(held.due()).toEqual([2n, 3n, 4n, 5n])
  expect(held.closedChannel(5n)).toBe(true)
  expect(held.closed()).toEqual([one])
  for (const id of [2n, 3n]) expect(held.hold({ id, key: '' }, true, one)).toMatchObject({ attempt: 2 })
  for (const id of [2n, 3n]) held.parked(id)
  expect(held.due()).toEqual([4n, 5n])
  // One that is refused and not parked is the one that is tried from then on.
  for (const id of [4n, 5n]) held.hold({ id, key: '' }, true, one)
  expect(held.due()).toEqual([])
  clock.nowMs = 60_000
  expect(held.due()).toEqual([4n])
  held.parked(4n)
  expect(held.due()).toEqual([5n])
  expect(opened).not.toHaveBeenCalled()
  held.parked(5n)
  expect(opened).toHaveBeenCalledTimes(1)
  expect(held.isEmpty()).toBe(true)
})

test('a last try that goes through opens the destination, and all others are forgotten', () => {
  const { held, opened } = heldRows()
  const one = { exchange: '', routingKey: 'one' }
  for (let id = 1n; id <= 4n; id += 1n) held.hold({ id, key: '' }, false, one)
  held.parked(1n)
  held.hold({ id: 2n, key: '' }, false, one)
  held.wentThrough(3n)
  expect(opened).toHaveBeenCalledTimes(1)
  expect(held.isEmpty()).toBe(true)
  expect(held.hold({ id: 4n, key: '' }, false, one)).toMatchObject({ attempt: 1 })
})

test('no more rows are remembered for a last try than the largest window holds', () => {
  const { held } = heldRows()
  const one = { exchange: '', routingKey: 'one' }
  for (let id = 0n; id <= 10_100n; id += 1n) held.hold({ id, key: '' }, false, one)
  held.parked(0n)
  expect(held.due()).toHaveLength(10_000)
})

test('an exchange is closed as a whole, however many of its destinations are', () => {
  const { held, opened } = heldRows()
  const close = (id: bigint, routingKey: string | null) =>
    held.hold({ id, key: '' }, true, { exchange: 'e', routingKey })
  for (let id = 1n; id <= 1_000n; id += 1n) close(id, String(id))
  close(1_001n, null)
  close(1_002n, null)
  expect(held.closed()).toContainEqual({ exchange: 'e', routingKey: null })
  held.wentThrough(1_001n)
  expect(held.closed()).not.toContainEqual({ exchange: 'e', routingKey: null })
  expect(opened).toHaveBeenCalledOnce()
})

test('of one exchange a thousand destinations are closed, and further ones once those are open', () => {
  const { held, opened } = heldRows()
  const to = (number: number, exchange = 'events') => ({ exchange, routingKey: `order.${number}` })
  for (let number = 1; number <= 1_001; number += 1) held.hold({ id: BigInt(number), key: '' }, false, to(number))
  held.hold({ id: 2_001n, key: '' }, false, to(1))
  held.hold({ id: 2_002n, key: '' }, false, to(1, 'other'))
  expect(held.closed()).toHaveLength(1_001)
  expect(held.closed()).not.toContainEqual(to(1_001))
  expect(held.waiting()).toContain(1_001n)
  held.release(1_001n)
  expect(opened).not.toHaveBeenCalled()
  held.release(2n)
  expect(opened).toHaveBeenCalledTimes(1)
  held.hold({ id: 1_002n, key: '' }, false, to(1_002))
  expect(held.closed()).toContainEqual(to(1_002))
})

test('a new row is one too many when ten thousand are held, and one that waits behind another is not', () => {
  const { held } = heldRows()
  const hold = (id: bigint, routingKey: string) => held.hold({ id, key: '' }, false, { exchange: 'e', routingKey })
  for (let id = 1n; id <= 10_000n; id += 1n) expect(hold(id, String(id))).toMatchObject({ isOneTooMany: false })
  expect(hold(10_001n, 'other')).toMatchObject({ isOneTooMany: true })
  held.parked(10_001n)
  expect(hold(10_002n, '1')).toMatchObject({ isOneTooMany: false })
  expect(hold(5_000n, '5000')).toMatchObject({ attempt: 2, isOneTooMany: false })
  held.wentThrough(5_000n)
  expect(hold(10_003n, 'other')).toMatchObject({ isOneTooMany: false })
})

test('what was tried last is tried again last', () => {
  const { clock, held } = heldRows()
  for (const id of [1n, 2n, 3n]) held.hold({ id, key: '' }, false)
  clock.nowMs = 1_000
  held.hold({ id: 1n, key: '' }, false)
  clock.nowMs = 60_000
  expect(held.due()).toEqual([2n, 3n, 1n])
})

test('what is done for one row does not pass all the others', () => {
  const { clock, held } = heldRows()
  const ids = Array.from({ length: 30_000 }, (_, index) => BigInt(index))
  const hold = () => {
    for (const id of ids) held.hold({ id, key: '' }, false, { exchange: String(id), routingKey: 'any' })
  }
  const startedMs = performance.now()
  hold()
  clock.nowMs = 60_000
  hold()
  for (const id of ids) held.release(id)
  expect(held.closed()).toEqual([])
  // It takes half a second; 30,000 times 30,000 steps take much longer.
  expect(performance.now() - startedMs).toBeLessThan(4_000)
}, 60_000)
