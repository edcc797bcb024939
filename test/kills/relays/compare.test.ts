import { expect, test } from 'vitest'
import { type Came, compare } from './compare.ts'

const isOrdered = (key: string) => key === 'ordered'
const came = (key: string, ...numbers: number[]): Came[] => numbers.map((n) => ({ key, n, redelivered: false }))
const cameAgain = (key: string, ...numbers: number[]): Came[] => numbers.map((n) => ({ key, n, redelivered: true }))
const fine = { lost: [], invented: [], overtaken: [] }

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
