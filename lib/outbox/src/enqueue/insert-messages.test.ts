import { expect, test } from 'vitest'
import { inPieces } from './insert-messages.ts'

test('texts are divided in their order, and no piece has more characters than it may', () => {
  expect([...inPieces(['aa', 'b', 'ccc', 'd', 'e'], 3)]).toEqual([['aa', 'b'], ['ccc'], ['d', 'e']])
})

test('a text that is too long is a piece by itself', () => {
  expect([...inPieces(['a', 'bbbb', 'c'], 3)]).toEqual([['a'], ['bbbb'], ['c']])
})

test('of no texts there are no pieces', () => {
  expect([...inPieces([], 3)]).toEqual([])
})
