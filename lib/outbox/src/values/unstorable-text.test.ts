import fc from 'fast-check'
import { expect, test } from 'vitest'
import { unstorableText } from './unstorable-text.ts'

test.each([
  ['a\0b', ''],
  [{ lead: { notes: ['fine', 'not \0'] } }, '/lead/notes/1'],
  [{ 'a/b': { '~': 'half \ud83d' } }, '/a~1b/~0'],
  [{ lead: { 'key\0': 1 } }, '/lead/key\ufffd'],
])('%o is refused with its place', (value, place) => {
  expect(unstorableText(value)).toBe(place)
})

test('every JSON value of well-formed text without NUL passes', () => {
  const text = fc.string({ unit: 'grapheme' }).filter((candidate) => !candidate.includes('\0'))
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'grapheme' }), text, (value, key) => {
      fc.pre(!JSON.stringify(value).includes('\\u0000'))
      expect(unstorableText({ [key]: value })).toBeNull()
    }),
  )
})
