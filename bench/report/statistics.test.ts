import { expect, test } from 'vitest'
import { median, percentile, ratioByRound, round } from './statistics.ts'

test('the median is the middle value, or the mean of the two in the middle', () => {
  expect(median([9, 1, 10])).toBe(9)
  expect(median([4, 1, 3, 2])).toBe(2.5)
  expect(() => median([])).toThrow('no median of no values')
})

test('a percentile is one of the values, the first that enough of them do not exceed', () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index)
  expect(percentile(values, 0.5)).toBe(50)
  expect(percentile(values, 0.99)).toBe(99)
  expect(percentile(values, 1)).toBe(100)
  expect(percentile([7], 0)).toBe(7)
  expect(() => percentile([], 0.5)).toThrow('no percentile 0.5 of 0 values')
})

test('ours is compared with the control of the same round, so a machine that slows down for both does not tell', () => {
  expect(ratioByRound([90, 9, 45], [100, 10, 50])).toBe(0.9)
  expect(() => ratioByRound([1], [1, 2])).toThrow('1 rounds of ours, 2 of the control')
})

test('a value is rounded to the digits that are asked for', () => {
  expect(round(0.8451, 2)).toBe(0.85)
  expect(round(31_415.9)).toBe(31_416)
})
