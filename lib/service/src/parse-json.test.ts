import { expect, test } from 'vitest'
import { parseJson } from './parse-json.ts'

test.each([
  ['0', 0],
  ['-0.0', -0],
  ['1.10', 1.1],
  ['1e3', 1_000],
  ['123456789012345', 123_456_789_012_345],
  ['9007199254740992', 9_007_199_254_740_992],
  ['0.1000000000000000', 0.1],
  ['100000000000000000000', 1e20],
  ['1.5E-7', 1.5e-7],
])('the number %s of JSON is one here as well', (text, number) => {
  expect(parseJson(text)).toBe(number)
})

test.each([
  '9007199254740993',
  '-9007199254740993',
  '0.12345678901234567890',
  '12345678901234567890.10',
  '1e400',
  '-1e400',
  '1e-400',
])('the number %s would be another one here, and stays as it is written', (text) => {
  expect(parseJson(text)).toBe(text)
  expect(parseJson(`{"a": [${text}, 1, "x"]}`)).toEqual({ a: [text, 1, 'x'] })
})

test('what looks like such a number in a text is a text', () => {
  expect(parseJson('{"9007199254740993": "9007199254740993"}')).toEqual({ '9007199254740993': '9007199254740993' })
})
