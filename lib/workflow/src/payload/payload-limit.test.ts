import { expect, test } from 'vitest'
import { faultOfProduct, limitItem, limitPayload, limitPlaced, placedBytes } from './payload-limit.ts'
import type { Placed } from './place-result.ts'

const next = { id: 'save', functionName: 'Save' }
const items = (...values: unknown[]): Placed => ({ kind: 'items', items: values, next })
const whole = (result: unknown): Placed => ({ kind: 'whole', result, next })
const output = (value: unknown): Placed => ({ kind: 'output', output: value })
/** So many bytes as JSON, the quotes included. */
const textOf = (bytes: number) => 'a'.repeat(bytes - 2)

test('what has as many bytes as are allowed passes, and one byte more does not', () => {
  for (const place of [items, whole, output]) {
    expect(() => limitPlaced(place(textOf(100)), 'fetch', 100)).not.toThrow()
    expect(() => limitPlaced(place(textOf(101)), 'fetch', 100)).toThrow(
      expect.objectContaining({ code: 'payload_too_large', final: true }),
    )
  }
})

test('bytes are counted, not characters', () => {
  expect(() => limitPlaced(whole('ã'.repeat(60)), 'fetch', 100)).toThrow('has 122 bytes')
})

test('items are many without an end, and only one that is too large by itself is refused, by its place', () => {
  expect(() => limitPlaced(items(...Array.from({ length: 1_000 }, () => textOf(100))), 'fetch', 100)).not.toThrow()
  expect(() => limitPlaced(items(1, textOf(2_000_000)), 'fetch', 1_048_576)).toThrow(
    'step "fetch": item 2 of 2 has 2,000,000 bytes as JSON, and 1,048,576 are allowed: pass on where the data lies (a key, an address) in place of the data, or raise ESTEIRA_MAX_PAYLOAD_BYTES',
  )
})

test('a whole result that is too large says what else could be done', () => {
  expect(() => limitPlaced(output(textOf(200)), 'fetch', 100)).toThrow(
    /^step "fetch": its result has 200 bytes as JSON, and 100 are allowed: give smaller items under outputType "multiple" with a next step, pass on .*, or raise ESTEIRA_MAX_PAYLOAD_BYTES$/,
  )
})

test('an input that goes on is not a result', () => {
  expect(() => limitPlaced({ kind: 'input', next }, 'fetch', 1)).not.toThrow()
  expect(placedBytes({ kind: 'input', next })).toBe(0)
})

test('a first payload is held to the same', () => {
  expect(() => limitPayload('the first payload', textOf(100), 100)).not.toThrow()
  expect(() => limitPayload('the first payload', undefined, 4)).not.toThrow()
  expect(() => limitPayload('the first payload', textOf(101), 100)).toThrow(
    /^the first payload has 101 bytes as JSON, and 100 are/,
  )
})

test('a result counts all that is stored of it', () => {
  expect(placedBytes(items(textOf(10), textOf(20), undefined))).toBe(34)
  expect(placedBytes(whole([1, 2]))).toBe(5)
})

test('of a list that becomes items each is held to the limit, of one that does not the whole, and none is without an end', () => {
  const list = Array.from({ length: 1_000 }, () => textOf(100))
  expect(faultOfProduct(list, true, 100)).toBeNull()
  expect(faultOfProduct(list, false, 100)).toMatch(/^has 101,001 bytes as JSON, and 100 are allowed: /)
  expect(faultOfProduct([1, textOf(101)], true, 100)).toMatch(/^has an item, 2 of 2, that has 101 bytes as JSON, and/)
  expect(faultOfProduct(textOf(101), true, 100)).toMatch(/^has 101 bytes/)
  const endless = Array.from({ length: 65 }, () => 'a'.repeat(1024 * 1024))
  expect(faultOfProduct(endless, true, 2 * 1024 * 1024)).toBe(
    'has 68,157,570 bytes as JSON, and 67,108,864 are allowed: have a function read the items, page by page',
  )
}, 30_000)

test('an item of too many levels is refused by their number, also where it is within itself in one of them', () => {
  const around: unknown[] = []
  let lists: unknown = around
  for (let level = 0; level < 50_000; level += 1) lists = [lists]
  around.push(lists)
  const words =
    'the result cannot be stored: it is nested too deeply: it has 50001 levels, and 1000 are expected at most'
  expect(() => limitItem('item 1', lists, 1_000)).toThrow(
    expect.objectContaining({ code: 'output_rejected', message: words }),
  )
})
