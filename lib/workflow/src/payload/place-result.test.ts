import { expect, test } from 'vitest'
import { placeResult } from './place-result.ts'

const step = (outputType: 'single' | 'multiple' | null, next: boolean) => ({
  name: 'fetch',
  outputType,
  next: next ? target : null,
})
const target = { id: 'save', functionName: 'Database.query' }

test('multiple gives the next step one job an item', () => {
  expect(placeResult(step('multiple', true), [1, 2])).toEqual({ kind: 'items', items: [1, 2], next: target })
})

test('multiple with an empty array gives no jobs', () => {
  expect(placeResult(step('multiple', true), [])).toEqual({ kind: 'items', items: [], next: target })
})

test.each([
  [{ a: 1 }, 'an object'],
  ['text', 'a string'],
  [7, 'a number'],
  [null, 'null'],
  [undefined, 'nothing'],
])('multiple with %j fails and says that %s came, with or without a next step', (result, kind) => {
  for (const next of [true, false]) {
    expect(() => placeResult(step('multiple', next), result)).toThrow(
      expect.objectContaining({
        code: 'output_invalid',
        message: `step "fetch" has outputType "multiple": its result must be an array, but ${kind} came`,
      }),
    )
  }
})

test('single gives the next step one job with the whole result, array or not', () => {
  expect(placeResult(step('single', true), [1, 2])).toEqual({ kind: 'whole', result: [1, 2], next: target })
  expect(placeResult(step('single', true), undefined)).toEqual({ kind: 'whole', result: null, next: target })
})

test('null gives the next step the input, whatever the result', () => {
  expect(placeResult(step(null, true), [1, 2])).toEqual({ kind: 'input', next: target })
})

test('without a next step the output stays on the job, and null has none', () => {
  expect(placeResult(step('single', false), { total: 1 })).toEqual({ kind: 'output', output: { total: 1 } })
  expect(placeResult(step('multiple', false), [1])).toEqual({ kind: 'output', output: [1] })
  expect(placeResult(step(null, false), { total: 1 })).toEqual({ kind: 'output', output: null })
})
