import fc from 'fast-check'
import { expect, test } from 'vitest'
import { expressionPattern } from './json-schema.ts'

/** As a validator of JSON Schema has it. */
const pattern = new RegExp(expressionPattern, 'u')

test('a text has an expression in it where a "}}" stands behind a "{{"', () => {
  const text = fc.string({ unit: fc.constantFrom('{', '}', '"', "'", 'a', ' ', '\n', 'ã', '😀'), maxLength: 12 })
  fc.assert(
    fc.property(text, (short) => {
      expect(pattern.test(short)).toBe(/\{\{[\s\S]*\}\}/.test(short))
    }),
    { numRuns: 10_000 },
  )
})

// Where its time is the square of its length, such a text takes half an hour.
test.each([
  ['never closed', '{'.repeat(1_000_000)],
  ['never closed, with text between', 'a{{b '.repeat(200_000)],
  ['closed once', '{{'.repeat(499_999).concat('}}')],
  ['half open', '{a'.repeat(500_000)],
  ['none', 'a'.repeat(1_000_000)],
])('a text of a million characters is looked through once: its expressions are %s', (words, long) => {
  expect(pattern.test(long)).toBe(words.startsWith('closed'))
})
