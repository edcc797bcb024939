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
  expect(held.hold({ id: 7n, key: 'a' }, false)).toEqual({ attempt: 1, retryInMs: 1_000 })
  expect(held.waiting()).toEqual([7n])
  clock.nowMs = 999
  expect(held.waiting()).toEqual([7n])
  expect(held.due()).toEqual([])
  clock.nowMs = 1_000
  expect(held.waiting()).toEqual([])
  expect(held.due()).toEqual([7n])
  expect(held.hold({ id: 7n, key: 'a' }, false)).toEqual({ attempt: 2, retryInMs: 2_000 })
})

test('a wait is a minute at most', () => {
  const { held } = heldRows()
  const last = Array.from({ length: 30 }, () => held.hold({ id: 1n, key: 'a' }, false)).at(-1)
  expect(last).toEqual({ attempt: 30, retryInMs: 60_000 })
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

test('a destination is closed while it holds rows, and open once one of them went through', () => {
  const { held } = heldRows()
  const [one, other] = ['one', 'other'].map((routingKey) => ({ exchange: '', routingKey }))
  held.hold({ id: 1n, key: '' }, false, one)
  held.hold({ id: 2n, key: '' }, false, one)
  held.hold({ id: 3n, key: '' }, false, other)
  held.hold({ id: 4n, key: '' }, false)
  expect(held.closed()).toEqual([one, other])
  held.release(1n)
  expect(held.closed()).toEqual([one, other])
  held.wentThrough(4n)
  held.wentThrough(3n)
  expect(held.closed()).toEqual([one])
  held.hold({ id: 5n, key: '' }, false, one)
  held.wentThrough(2n)
  expect(held.closed()).toEqual([])
  expect(held.waiting()).toEqual([5n])
})

test('it is told when a destination opens, and not while another row closes it', () => {
  const { held, opened } = heldRows()
  const one = { exchange: '', routingKey: 'one' }
  held.hold({ id: 1n, key: '' }, false, one)
  held.hold({ id: 2n, key: '' }, false, one)
  held.release(1n)
  held.wentThrough(3n)
  expect(opened).not.toHaveBeenCalled()
  held.release(2n)
  expect(opened).toHaveBeenCalledTimes(1)
  held.hold({ id: 4n, key: '' }, false, one)
  held.hold({ id: 5n, key: '' }, false, one)
  held.wentThrough(4n)
  expect(opened).toHaveBeenCalledTimes(2)
  held.hold({ id: 6n, key: '' }, false, one)
  held.hold({ id: 6n, key: '' }, true)
  expect(opened).toHaveBeenCalledTimes(3)
})

test('an exchange is closed as a whole, however many of its destinations are', () => {
  const { held, opened } = heldRows()
  const close = (id: bigint, routingKey: string | null) =>
    held.hold({ id, key: '' }, true, { exchange: 'e', routingKey })
  for (let id = 1n; id <= 1_000n; id += 1n) close(id, String(id))
  close(1_001n, null)
  close(1_002n, null)
  expect(held.closed()).toContainEqual({ exchange: 'e', routingKey: null })
  held.wentThrough(1_002n)
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
