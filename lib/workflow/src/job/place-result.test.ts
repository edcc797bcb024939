import { expect, test } from 'vitest'
import { placeResult } from './place-result.ts'

const step = (outputType: 'single' | 'multiple' | null, next: boolean) => ({
  name: 'fetch',
  outputType,
  next: next ? {} : null,
})
const input = { email: 'ana@example.com' }

test('multiple gives the next step one job an item', () => {
  expect(placeResult(step('multiple', true), [1, 2], input)).toEqual({ items: [1, 2] })
})

test('multiple with an empty array gives no jobs', () => {
  expect(placeResult(step('multiple', true), [], input)).toEqual({ items: [] })
})

test.each([
  [{ a: 1 }, 'an object'],
  ['text', 'a string'],
  [7, 'a number'],
  [null, 'null'],
  [undefined, 'nothing'],
])('multiple with %j fails and says that %s came, with or without a next step', (result, kind) => {
  for (const next of [true, false]) {
    expect(() => placeResult(step('multiple', next), result, input)).toThrow(
      expect.objectContaining({
        code: 'output_invalid',
        message: `step "fetch" has outputType "multiple": its result must be an array, but ${kind} came`,
      }),
    )
  }
})

test('single gives the next step one job with the whole result, array or not', () => {
  expect(placeResult(step('single', true), [1, 2], input)).toEqual({ items: [[1, 2]] })
  expect(placeResult(step('single', true), undefined, input)).toEqual({ items: [null] })
})

test('null gives the next step the input, whatever the result', () => {
  expect(placeResult(step(null, true), [1, 2], input)).toEqual({ items: [input] })
})

test('without a next step the output stays on the job, and null has none', () => {
  expect(placeResult(step('single', false), { total: 1 }, input)).toEqual({ output: { total: 1 } })
  expect(placeResult(step('multiple', false), [1], input)).toEqual({ output: [1] })
  expect(placeResult(step(null, false), { total: 1 }, input)).toEqual({ output: null })
})
