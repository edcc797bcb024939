import { expect, test } from 'vitest'
import { createPointers, type Pointers } from './pointers.ts'

const read = (...ids: bigint[]) => {
  const pointers = createPointers()
  for (const id of ids) pointers.sawRow(id)
  return pointers
}

const statement = (pointers: Pointers, { xid, xmin, cursor }: Record<'xid' | 'xmin' | 'cursor', bigint>) => {
  pointers.sawEnded(xmin)
  pointers.drewXid(xid, cursor)
}

const readAll = (pointers: Pointers, last: bigint | null = null, lowest: bigint | null = null) =>
  pointers.startRead(null).answered(last, lowest)

test('the floor rises to the last id read when all that are older than a mark drawn later have ended', () => {
  const pointers = read(1n, 2n, 5n)
  statement(pointers, { xid: 100n, xmin: 90n, cursor: 5n })
  readAll(pointers)
  expect(pointers.floor()).toBe(0n)
  statement(pointers, { xid: 101n, xmin: 101n, cursor: 5n })
  readAll(pointers)
  expect(pointers.floor()).toBe(5n)
})

test('a transaction that is as old as the mark keeps the floor down', () => {
  const pointers = read(5n)
  statement(pointers, { xid: 100n, xmin: 100n, cursor: 5n })
  statement(pointers, { xid: 101n, xmin: 100n, cursor: 5n })
  readAll(pointers)
  expect(pointers.floor()).toBe(0n)
})

test('a mark is waited for, though statements draw younger ones meanwhile', () => {
  const pointers = read(5n)
  // A transaction is always open that is older than the last mark, and none for as long as the first one.
  for (let xid = 100n; xid <= 103n; xid += 1n) {
    statement(pointers, { xid, xmin: xid - 1n, cursor: 5n })
    pointers.sawRow(xid)
  }
  readAll(pointers)
  expect(pointers.floor()).toBe(5n)
})

test('a statement is no mark for what was read after it was sent', () => {
  const pointers = read(5n)
  pointers.sawRow(9n)
  statement(pointers, { xid: 100n, xmin: 100n, cursor: 5n })
  statement(pointers, { xid: 101n, xmin: 101n, cursor: 9n })
  readAll(pointers)
  expect(pointers.floor()).toBe(5n)
})

test('what stands in the way of the floor is held up by it when it has been there for a while', () => {
  let nowMs = 0
  const pointers = createPointers(() => nowMs)
  pointers.sawRow(5n)
  nowMs = 10_000
  expect(pointers.isHeldUp()).toBe(false)
  statement(pointers, { xid: 100n, xmin: 90n, cursor: 5n })
  nowMs += 249
  expect(pointers.isHeldUp()).toBe(false)
  statement(pointers, { xid: 101n, xmin: 90n, cursor: 5n })
  nowMs += 1
  expect(pointers.isHeldUp()).toBe(true)
  pointers.sawEnded(101n)
  expect(pointers.isHeldUp()).toBe(false)
})

test('the floor stays below the first row that is still there', () => {
  const pointers = read(3n, 5n)
  statement(pointers, { xid: 100n, xmin: 100n, cursor: 5n })
  statement(pointers, { xid: 101n, xmin: 101n, cursor: 5n })
  readAll(pointers, null, 3n)
  expect(pointers.floor()).toBe(2n)
  readAll(pointers)
  expect(pointers.floor()).toBe(5n)
})

test('a read that was cut short lifts the floor as far as it came', () => {
  const pointers = read(9n)
  statement(pointers, { xid: 100n, xmin: 100n, cursor: 9n })
  statement(pointers, { xid: 101n, xmin: 101n, cursor: 9n })
  readAll(pointers, 7n, 8n)
  expect(pointers.floor()).toBe(7n)
  readAll(pointers, 8n, 5n)
  expect(pointers.floor()).toBe(7n)
})

test('without a read after the mark was passed the floor does not rise', () => {
  const pointers = read(5n)
  statement(pointers, { xid: 100n, xmin: 100n, cursor: 5n })
  statement(pointers, { xid: 101n, xmin: 101n, cursor: 5n })
  expect(pointers.floor()).toBe(0n)
})

/** Pointers of which the floor may rise to 5. */
const decidedTo5 = () => {
  const pointers = createPointers()
  pointers.sawRow(5n)
  statement(pointers, { xid: 100n, xmin: 100n, cursor: 5n })
  statement(pointers, { xid: 101n, xmin: 101n, cursor: 5n })
  return pointers
}

test('a read lifts the floor no further than could be told when it was sent', () => {
  const pointers = read(5n)
  statement(pointers, { xid: 100n, xmin: 100n, cursor: 5n })
  const sent = pointers.startRead(null)
  statement(pointers, { xid: 101n, xmin: 101n, cursor: 5n })
  sent.answered(null, null)
  expect(pointers.floor()).toBe(0n)
})

test('the floor stays below a row that was on its way when the read was sent', () => {
  const pointers = decidedTo5()
  pointers.startRead(4n).answered(null, null)
  expect(pointers.floor()).toBe(3n)
})

test('a read that was sent before the floor was taken back does not lift it', () => {
  const pointers = decidedTo5()
  readAll(pointers)
  const sent = pointers.startRead(null)
  pointers.goBack(2n)
  expect(pointers.floor()).toBe(2n)
  expect(sent.isOutdated()).toBe(true)
  sent.answered(null, null)
  expect(pointers.floor()).toBe(2n)
  readAll(pointers)
  expect(pointers.floor()).toBe(5n)
  pointers.goBack(9n)
  expect(pointers.floor()).toBe(5n)
})

test('reads are far back until the floor rose, and where it is lower than it was', () => {
  const pointers = decidedTo5()
  expect(pointers.isFarBack()).toBe(true)
  readAll(pointers)
  expect(pointers.isFarBack()).toBe(false)
  pointers.goBack(2n)
  expect(pointers.isFarBack()).toBe(true)
  readAll(pointers)
  expect(pointers.isFarBack()).toBe(false)
})
