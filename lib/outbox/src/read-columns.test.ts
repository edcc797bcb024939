import { expect, expectTypeOf, test } from 'vitest'
import { readColumns } from './read-columns.ts'

test('a row has the types of the columns that are named', () => {
  const row: unknown = { lane: 3, xmin: '12', waiting: true, ms: null, busy: ['a'], other: 1 }
  const read = readColumns(row, 'the look', {
    lane: 'number',
    xmin: 'string',
    waiting: 'boolean',
    ms: 'number?',
    busy: 'strings',
  })
  expect(read).toBe(row)
  expectTypeOf(read.lane).toBeNumber()
  expectTypeOf(read.ms).toEqualTypeOf<number | null>()
  expectTypeOf(read.busy).toEqualTypeOf<string[]>()
})

test.each([
  [{ lane: '3' }, 'lane', 'number'],
  [{ lane: null }, 'lane', 'number'],
  [{}, 'lane', 'number'],
  [undefined, 'lane', 'number'],
  [null, 'lane', 'number'],
  [{ lane: 3, id: 4 }, 'id', 'string?'],
  [{ lane: 3, id: null, keys: [1] }, 'keys', 'strings'],
  [{ lane: 3, id: null, keys: [], isDue: 1 }, 'isDue', 'boolean'],
])('%j is refused with its column %s and what was expected, %s', (row, column, expected) => {
  const columns = { lane: 'number', id: 'string?', keys: 'strings', isDue: 'boolean' } as const
  expect(() => readColumns(row, 'the look', columns)).toThrow(
    expect.objectContaining({
      code: 'row_invalid',
      message: `the look: the column ${column} is not of the expected type, ${expected}`,
    }),
  )
})
