import { expect, test } from 'vitest'
import { createPointers, type Pointers } from './pointers.ts'

const read = (...ids: bigint[]) => {
  const pointers = createPointers()
  for (const id of ids) pointers.sawRow(id)
  return pointers
}

const statement = (pointers: Pointers, { xid, xmin, cursor }: Record<'xid' | 'xmin' | 'cursor', bigint>) => {
  pointers.sawXmin(xmin)
  pointers.drewXid(xid, cursor)
}

test('the floor rises to the last id read when all that are older than a mark drawn later have ended', () => {
  const pointers = read(1n, 2n, 5n)
  statement(pointers, { xid: 100n, xmin: 90n, cursor: 5n })
  pointers.readAll(null, null)
  expect(pointers.floor()).toBe(0n)
  statement(pointers, { xid: 101n, xmin: 101n, cursor: 5n })
  pointers.readAll(null, null)
  expect(pointers.floor()).toBe(5n)
})

test('a transaction that is as old as the mark keeps the floor down', () => {
  const pointers = read(5n)
  statement(pointers, { xid: 100n, xmin: 100n, cursor: 5n })
  statement(pointers, { xid: 101n, xmin: 100n, cursor: 5n })
  pointers.readAll(null, null)
  expect(pointers.floor()).toBe(0n)
})

test('a mark is waited for, though statements draw younger ones meanwhile', () => {
  const pointers = read(5n)
  // A transaction is always open that is older than the last mark, and none for as long as the first one.
  for (let xid = 100n; xid <= 103n; xid += 1n) {
    statement(pointers, { xid, xmin: xid - 1n, cursor: 5n })
    pointers.sawRow(xid)
  }
  pointers.readAll(null, null)
  expect(pointers.floor()).toBe(5n)
})

test('a statement is no mark for what was read after it was sent', () => {
  const pointers = read(5n)
  pointers.sawRow(9n)
  statement(pointers, { xid: 100n, xmin: 100n, cursor: 5n })
  statement(pointers, { xid: 101n, xmin: 101n, cursor: 9n })
  pointers.readAll(null, null)
  expect(pointers.floor()).toBe(5n)
})

test('the floor stays below the first row that is still there', () => {
  const pointers = read(3n, 5n)
  statement(pointers, { xid: 100n, xmin: 100n, cursor: 5n })
  statement(pointers, { xid: 101n, xmin: 101n, cursor: 5n })
  pointers.readAll(null, 3n)
  expect(pointers.floor()).toBe(2n)
  pointers.readAll(null, null)
  expect(pointers.floor()).toBe(5n)
})

test('a read that was cut short lifts the floor as far as it came', () => {
  const pointers = read(9n)
  statement(pointers, { xid: 100n, xmin: 100n, cursor: 9n })
  statement(pointers, { xid: 101n, xmin: 101n, cursor: 9n })
  pointers.readAll(7n, 8n)
  expect(pointers.floor()).toBe(7n)
  pointers.readAll(8n, 5n)
  expect(pointers.floor()).toBe(7n)
})

test('without a read after the mark was passed the floor does not rise', () => {
  const pointers = read(5n)
  statement(pointers, { xid: 100n, xmin: 100n, cursor: 5n })
  statement(pointers, { xid: 101n, xmin: 101n, cursor: 5n })
  expect(pointers.floor()).toBe(0n)
})

test('every minute the lane is read from its beginning once', () => {
  const clock = { nowMs: 0 }
  const pointers = createPointers(() => clock.nowMs)
  pointers.sawRow(5n)
  statement(pointers, { xid: 100n, xmin: 100n, cursor: 5n })
  statement(pointers, { xid: 101n, xmin: 101n, cursor: 5n })
  pointers.readAll(null, null)
  clock.nowMs = 60_000
  expect(pointers.floor()).toBe(5n)
  clock.nowMs = 60_001
  expect(pointers.floor()).toBe(0n)
  pointers.readAll(null, null)
  expect(pointers.floor()).toBe(5n)
})
