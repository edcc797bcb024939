import { expect, test } from 'vitest'
import { table } from './table.ts'

test('words stand to the left and numbers to the right, under their header', () => {
  const rows = [
    ['raw', 43_800.4, 8.5],
    ['the relay', 9, null],
  ]
  expect(table(['what', 'rows/s', 'CPU'], rows)).toBe(`what         rows/s  CPU
raw        43,800.4  8.5
the relay         9    -
`)
})
