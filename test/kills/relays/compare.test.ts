import { expect, test } from 'vitest'
import { type Came, compare, compareParked, type Numbered } from './compare.ts'

const isOrdered = (key: string) => key === 'ordered'
const came = (key: string, ...numbers: number[]): Came[] =>
  numbers.map((n) => ({ key, n, redelivered: false, isWhole: true }))
const cameAgain = (key: string, ...numbers: number[]): Came[] =>
  numbers.map((n) => ({ key, n, redelivered: true, isWhole: true }))
const fine = { lost: [], invented: [], overtaken: [], spoilt: [] }

test('what came whole and in order is no fault, also when parts of it came again', () => {
  const received = [
    ...came('ordered', 1, 2),
    ...cameAgain('ordered', 1, 2),
    ...came('ordered', 3),
    ...came('free', 2, 1),
  ]
  const last = [...came('ordered', 3), ...came('free', 2)]
  expect(compare(last, received, isOrdered)).toEqual({ committed: 5, again: 2, ...fine })
})

test('what never came is lost', () => {
  const result = compare([...came('ordered', 3), ...came('free', 1)], came('ordered', 1, 3), isOrdered)
  expect(result).toEqual({ committed: 4, again: 0, ...fine, lost: ['ordered: 2', 'free: 1'] })
})

test('what was never committed is invented', () => {
  const received = [...came('ordered', 1, 2), ...came('free', 1)]
  expect(compare(came('ordered', 1), received, isOrdered)).toMatchObject({ invented: ['ordered: 2', 'free: 1'] })
})

test('only of an ordered key must none come after a later one', () => {
  const received = [...came('ordered', 1, 3, 2), ...came('free', 2, 1)]
  const result = compare([...came('ordered', 3), ...came('free', 2)], received, isOrdered)
  expect(result).toEqual({ committed: 5, again: 0, ...fine, overtaken: ['ordered: 2 after 3'] })
})

test('a message of an ordered key that is published again comes right behind itself, not behind a later one', () => {
  expect(compare(came('ordered', 2), came('ordered', 1, 1, 2), isOrdered)).toEqual({ committed: 2, again: 1, ...fine })
  expect(compare(came('ordered', 2), came('ordered', 1, 2, 1), isOrdered)).toEqual({
    committed: 2,
    again: 1,
    ...fine,
    overtaken: ['ordered: 1 after 2'],
  })
})

test('what is not as it was written is spoilt, and is there all the same', () => {
  const received = [...came('free', 1), { key: 'free', n: 2, redelivered: false, isWhole: false }]
  expect(compare(came('free', 2), received, isOrdered)).toEqual({
    committed: 2,
    again: 0,
    ...fine,
    spoilt: ['free: 2'],
  })
})

const numbered = (key: string, ...numbers: number[]): Numbered[] => numbers.map((n) => ({ key, n }))

test('of the messages that no queue takes, each has to be parked once', () => {
  const last = [...numbered('refused', 3), ...numbered('other', 1)]
  const whole = [...numbered('refused', 2, 1, 3), ...numbered('other', 1)]
  expect(compareParked(last, whole)).toEqual({ parked: 4, unparked: [], misparked: [] })
  expect(compareParked(last, whole.slice(1))).toMatchObject({ unparked: ['refused: 2'], misparked: [] })
  expect(compareParked(last, [...whole, ...numbered('refused', 3, 4)])).toMatchObject({
    unparked: [],
    misparked: ['refused: 3', 'refused: 4'],
  })
  expect(compareParked(last, [...whole, ...numbered('free', 1)])).toMatchObject({ misparked: ['free: 1'] })
})
