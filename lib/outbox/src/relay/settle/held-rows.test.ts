import { expect, test, vi } from 'vitest'
import { refusedBackoff } from '../backoff.ts'
import { createHeldRows } from './held-rows.ts'

const heldRows = () => {
  const clock = { nowMs: 0 }
  const floor = { at: 0n }
  const opened = vi.fn<(to: bigint) => void>()
  return {
    clock,
    floor,
    opened,
    held: createHeldRows(
      refusedBackoff,
      { floor: () => floor.at, goBack: opened },
      () => clock.nowMs,
      () => 1,
    ),
  }
}

test('a row waits until its time comes, and longer after every refusal', () => {
  const { clock, held } = heldRows()
  expect(held.hold({ id: 7n, key: 'a' }, 'unroutable')).toMatchObject({ attempt: 1, retryInMs: 1_000 })
  expect(held.waiting()).toEqual([7n])
  clock.nowMs = 999
  expect(held.waiting()).toEqual([7n])
  expect(held.due()).toEqual([])
  clock.nowMs = 1_000
  expect(held.waiting()).toEqual([])
  expect(held.due()).toEqual([7n])
  expect(held.hold({ id: 7n, key: 'a' }, 'unroutable')).toMatchObject({ attempt: 2, retryInMs: 2_000 })
})

test('a wait is a minute at most', () => {
  const { held } = heldRows()
  const last = Array.from({ length: 30 }, () => held.hold({ id: 1n, key: 'a' }, 'unroutable')).at(-1)
  expect(last).toMatchObject({ attempt: 30, retryInMs: 60_000 })
})

test('the next row to try is the one whose time comes first', () => {
  const { clock, held } = heldRows()
  expect(held.nextMs()).toBeNull()
  held.hold({ id: 1n, key: 'a' }, 'unroutable')
  clock.nowMs = 400
  held.hold({ id: 2n, key: 'a' }, 'unroutable')
  expect(held.nextMs()).toBe(600)
  clock.nowMs = 5_000
  expect(held.nextMs()).toBe(0)
})

test('a row that is out is forgotten, a row that closed the channel is remembered for it', () => {
  const { held } = heldRows()
  held.hold({ id: 1n, key: 'a' }, 'closed channel')
  held.hold({ id: 2n, key: 'a' }, 'unroutable')
  expect([1n, 2n, 3n].map(held.closedChannel)).toEqual([true, false, false])
  held.release(1n)
  expect(held.closedChannel(1n)).toBe(false)
  expect(held.waiting()).toEqual([2n])
})

test('a destination is closed while one row is tried for it, and open once that went through or is gone', () => {
  const { held, opened } = heldRows()
  const [one, other] = ['one', 'other'].map((routingKey) => ({ exchange: '', routingKey }))
  held.hold({ id: 1n, key: '' }, 'unroutable', one)
  held.hold({ id: 2n, key: '' }, 'unroutable', one)
  held.hold({ id: 3n, key: '' }, 'unroutable', other)
  held.hold({ id: 4n, key: '' }, 'unroutable')
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
  held.hold({ id: 1n, key: '' }, 'unroutable', { exchange: '', routingKey: 'one' })
  held.hold({ id: 1n, key: '' }, 'closed channel')
  expect(opened).toHaveBeenCalledTimes(1)
  expect(held.closed()).toEqual([])
  expect(held.waiting()).toEqual([1n])
})

test('of a closed destination one row is tried, later and later', () => {
  const { clock, held } = heldRows()
  const one = { exchange: '', routingKey: 'one' }
  expect(held.hold({ id: 1n, key: '' }, 'unroutable', one)).toMatchObject({ attempt: 1, retryInMs: 1_000 })
  clock.nowMs = 400
  for (const id of [2n, 3n])
    expect(held.hold({ id, key: '' }, 'unroutable', one)).toMatchObject({ attempt: 1, retryInMs: 600 })
  clock.nowMs = 60_000
  expect(held.due()).toEqual([1n])
  expect(held.hold({ id: 1n, key: '' }, 'unroutable', one)).toMatchObject({ attempt: 2, retryInMs: 2_000 })
  clock.nowMs = 120_000
  expect(held.due()).toEqual([1n])
})

test('when the row that is tried is parked, those that were refused with it have one try each', () => {
  const { clock, held, opened } = heldRows()
  const one = { exchange: '', routingKey: 'one' }
  for (let id = 1n; id <= 5n; id += 1n) held.hold({ id, key: '' }, 'closed channel', one)
  expect(held.hold({ id: 1n, key: '' }, 'closed channel', one)).toMatchObject({ attempt: 2 })
  held.parked(1n)
  expect(held.due()).toEqual([2n, 3n, 4n, 5n])
  expect(held.closedChannel(5n)).toBe(true)
  expect(held.closed()).toEqual([one])
  for (const id of [2n, 3n]) expect(held.hold({ id, key: '' }, 'closed channel', one)).toMatchObject({ attempt: 2 })
  for (const id of [2n, 3n]) held.parked(id)
  expect(held.due()).toEqual([4n, 5n])
  // One that is refused and not parked is the one that is tried from then on.
  for (const id of [4n, 5n]) held.hold({ id, key: '' }, 'closed channel', one)
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
  for (let id = 1n; id <= 4n; id += 1n) held.hold({ id, key: '' }, 'unroutable', one)
  held.parked(1n)
  held.hold({ id: 2n, key: '' }, 'unroutable', one)
  held.wentThrough(3n)
  expect(opened).toHaveBeenCalledTimes(1)
  expect(held.isEmpty()).toBe(true)
  expect(held.hold({ id: 4n, key: '' }, 'unroutable', one)).toMatchObject({ attempt: 1 })
})

test('no more rows are remembered for a last try than the largest window holds', () => {
  const { held } = heldRows()
  const one = { exchange: '', routingKey: 'one' }
  for (let id = 0n; id <= 10_100n; id += 1n) held.hold({ id, key: '' }, 'unroutable', one)
  held.parked(0n)
  expect(held.due()).toHaveLength(10_000)
})

test('an exchange is closed as a whole, however many of its destinations are', () => {
  const { held, opened } = heldRows()
  const close = (id: bigint, routingKey: string | null) =>
    held.hold({ id, key: '' }, 'closed channel', { exchange: 'e', routingKey })
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
  for (let number = 1; number <= 1_001; number += 1)
    held.hold({ id: BigInt(number), key: '' }, 'unroutable', to(number))
  held.hold({ id: 2_001n, key: '' }, 'unroutable', to(1))
  held.hold({ id: 2_002n, key: '' }, 'unroutable', to(1, 'other'))
  expect(held.closed()).toHaveLength(1_001)
  expect(held.closed()).not.toContainEqual(to(1_001))
  expect(held.waiting()).toContain(1_001n)
  held.release(1_001n)
  expect(opened).not.toHaveBeenCalled()
  held.release(2n)
  expect(opened).toHaveBeenCalledTimes(1)
  held.hold({ id: 1_002n, key: '' }, 'unroutable', to(1_002))
  expect(held.closed()).toContainEqual(to(1_002))
})

test('a new row is one too many when ten thousand are held for themselves, and one that closes its destination is not', () => {
  const { held } = heldRows()
  const hold = (id: bigint, routingKey: string, exchange = 'e') =>
    held.hold({ id, key: '' }, 'unroutable', { exchange, routingKey })
  // A thousand of them close their destinations.
  for (let id = 1n; id <= 11_000n; id += 1n) expect(hold(id, String(id))).toMatchObject({ isOneTooMany: false })
  expect(hold(11_001n, 'other')).toMatchObject({ isOneTooMany: true })
  expect(hold(11_002n, '1')).toMatchObject({ isOneTooMany: false })
  expect(hold(11_003n, 'full', '')).toMatchObject({ isOneTooMany: false })
  held.parked(11_001n)
  expect(hold(5_000n, '5000')).toMatchObject({ attempt: 2, isOneTooMany: false })
  held.wentThrough(5_000n)
  expect(hold(11_004n, 'other')).toMatchObject({ isOneTooMany: false })
})

test('of all exchanges ten thousand destinations are closed', () => {
  const { held } = heldRows()
  for (let id = 1n; id <= 10_001n; id += 1n) {
    held.hold({ id, key: '' }, 'closed channel', { exchange: String(id), routingKey: null })
  }
  expect(held.closed()).toHaveLength(10_000)
  held.release(1n)
  held.hold({ id: 10_002n, key: '' }, 'closed channel', { exchange: 'another', routingKey: null })
  expect(held.closed()).toHaveLength(10_000)
})

test('a destination that opens takes the floor back to where it was when that closed, or below a row that was refused', () => {
  const { floor, held, opened } = heldRows()
  const [one, other] = ['one', 'other'].map((routingKey) => ({ exchange: '', routingKey }))
  floor.at = 10n
  held.hold({ id: 15n, key: '' }, 'unroutable', one)
  held.hold({ id: 16n, key: '' }, 'unroutable', other)
  floor.at = 20n
  held.hold({ id: 7n, key: '' }, 'unroutable', other)
  expect(held.above()).toBe(6n)
  held.wentThrough(15n)
  held.wentThrough(16n)
  expect(opened.mock.calls).toEqual([[10n], [6n]])
  expect(held.above()).toBeNull()
  held.hold({ id: 5n, key: '' }, 'unwritable')
  expect(held.above()).toBe(4n)
})

test('what was passed over for a routing key and for its exchange is read again when the last of the two opens', () => {
  const { floor, held, opened } = heldRows()
  const close = (at: bigint, id: bigint, routingKey: string | null) => {
    floor.at = at
    held.hold({ id, key: '' }, 'closed channel', { exchange: 'e', routingKey })
  }
  close(10n, 11n, 'key')
  close(20n, 21n, null)
  held.wentThrough(11n)
  held.wentThrough(21n)
  close(30n, 31n, null)
  close(40n, 41n, 'key')
  held.wentThrough(31n)
  held.wentThrough(41n)
  expect(opened.mock.calls).toEqual([[10n], [10n], [30n], [30n]])
})

test('a destination that takes another row is open, and those that no queue took are held each for itself', () => {
  const { clock, held, opened } = heldRows()
  const destination = { exchange: 'headers', routingKey: '' }
  for (const id of [1n, 2n, 3n]) held.hold({ id, key: '' }, 'unroutable', destination)
  held.tookAnother('headers', 'other')
  held.tookAnother('others', '')
  expect(held.closed()).toEqual([destination])
  held.tookAnother('headers', '')
  expect(held.closed()).toEqual([])
  expect(opened).toHaveBeenCalledOnce()
  expect(held.waiting()).toEqual([1n, 2n, 3n])
  clock.nowMs = 60_000
  expect(held.hold({ id: 2n, key: '' }, 'unroutable', destination)).toMatchObject({ attempt: 2, refusals: 2 })
  expect(held.closed()).toEqual([])
})

test('of those that no queue took while nobody is to blame the first try does not count', () => {
  const { clock, held } = heldRows()
  const destination = { exchange: '', routingKey: 'queue' }
  for (const id of [1n, 2n]) held.hold({ id, key: '' }, 'unroutable', destination, true)
  held.tookAnother('', 'queue')
  clock.nowMs = 60_000
  expect(held.hold({ id: 2n, key: '' }, 'nacked', destination)).toMatchObject({ attempt: 2, refusals: 1 })
})

test('a queue that is full takes a row now and then, and is closed all the same', () => {
  const { held } = heldRows()
  held.hold({ id: 1n, key: '' }, 'nacked', { exchange: '', routingKey: 'full' })
  held.tookAnother('', 'full')
  expect(held.closed()).toHaveLength(1)
})

test('of which destinations it is asked whether they take others', () => {
  const { clock, held } = heldRows()
  const hold = (id: bigint, why: 'unroutable' | 'nacked', exchange: string, routingKey = '') =>
    held.hold({ id, key: '' }, why, { exchange, routingKey })
  hold(1n, 'unroutable', 'headers')
  hold(4n, 'unroutable', 'headers')
  hold(2n, 'unroutable', '', 'queue')
  hold(3n, 'nacked', 'full')
  for (let key = 0n; key < 11n; key += 1n) hold(10n + key, 'unroutable', 'topics', String(key))
  expect(held.doubtful()).toEqual([])
  clock.nowMs = 60_000
  expect(held.doubtful()).toEqual([{ exchange: 'headers', routingKey: '', probe: 1n, lastTried: 4n }])
  for (let id = 101n; id <= 110n; id += 1n) hold(id, 'unroutable', `headers ${id}`)
  clock.nowMs = 120_000
  expect(held.doubtful()).toHaveLength(4)
})

test('a row that is refused for the sake of another destination than before is counted anew', () => {
  const { clock, held } = heldRows()
  for (const attempt of [1, 2, 3]) {
    clock.nowMs += 60_000
    const exchange = { exchange: 'late', routingKey: null }
    expect(held.hold({ id: 1n, key: '' }, 'closed channel', exchange)).toMatchObject({ attempt })
  }
  // The exchange has come, and no queue is bound yet.
  const destination = { exchange: 'late', routingKey: 'key' }
  expect(held.hold({ id: 1n, key: '' }, 'unroutable', destination)).toMatchObject({ attempt: 1 })
  expect(held.closed()).toEqual([destination])
})

test('what was tried last is tried again last', () => {
  const { clock, held } = heldRows()
  for (const id of [1n, 2n, 3n]) held.hold({ id, key: '' }, 'unroutable')
  clock.nowMs = 1_000
  held.hold({ id: 1n, key: '' }, 'unroutable')
  clock.nowMs = 60_000
  expect(held.due()).toEqual([2n, 3n, 1n])
})

test('what is done for one row does not pass all the others', () => {
  const { clock, held } = heldRows()
  const ids = Array.from({ length: 30_000 }, (_, index) => BigInt(index))
  const hold = () => {
    for (const id of ids) held.hold({ id, key: '' }, 'unroutable', { exchange: String(id), routingKey: 'any' })
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

test('of thousands of rows those whose time comes within a second are tried together', () => {
  const { clock, held } = heldRows()
  for (let id = 1n; id <= 2_000n; id += 1n) {
    clock.nowMs = Number(id)
    held.hold({ id, key: '' }, 'unwritable')
  }
  clock.nowMs = 2_999
  expect(held.due()).toHaveLength(1_001)
  expect(held.nextMs()).toBe(0)
  for (const id of held.due()) held.release(id)
  expect(held.nextMs()).toBe(1)
  clock.nowMs = 3_000
  expect(held.due()).toHaveLength(999)
})
