import { expect, test } from 'vitest'
import { nextSize } from './read-rows.ts'

const batch = (rows: number, bytes: number) => ({ rows: Array.from({ length: rows }), bytes })

test.each([
  ['small rows: soon as many as a page takes', [20, 80, 320, 1_280, 2_000, 2_000], 50],
  ['rows of a kilobyte: as many as have a quarter of a megabyte', [20, 80, 256, 256], 1_024],
  ['rows of a megabyte: one by one', [20, 1, 1], 1_024 * 1_024],
  ['rows without a value', [20, 80], 0],
])('rows are asked for by what they have: %s', (_, sizes, rowBytes) => {
  const [first = 0] = sizes
  const asked = sizes.map(() => first)
  for (let turn = 1; turn < sizes.length; turn += 1) {
    const size = asked[turn - 1] ?? 0
    asked[turn] = nextSize(size, batch(size, size * rowBytes))
  }
  expect(asked).toEqual(sizes)
})

test('after large rows small ones are asked for in a few steps more', () => {
  expect(nextSize(1, batch(1, 50))).toBe(4)
})
