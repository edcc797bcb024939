import fc from 'fast-check'
import { expect, test } from 'vitest'
import { specHash } from './spec-hash.ts'

/** The same value with the members of every object in the opposite order. */
const reversed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, member]) => [key, reversed(member)]),
  )
}

test('the order of members does not matter, at any depth', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(specHash(reversed(value))).toBe(specHash(value))
    }),
  )
})

test('the order of a list does, and so does every value', () => {
  const values = [{ a: [1, 2] }, { a: [2, 1] }, { a: [1, '2'] }, { b: [1, 2] }, { a: { 0: 1, 1: 2 } }, {}, null]
  expect(new Set(values.map(specHash)).size).toBe(values.length)
})
