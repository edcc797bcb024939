import { expect, test } from 'vitest'
import { createIdWatch } from './id-watch.ts'

const watch = createIdWatch('16400', '16401')

test.each([
  { of: 'of which as much was drawn as was read', row: { file: '16401', last: '7' }, wentBack: false },
  { of: 'whose last id may not be read', row: { file: '16401', last: null }, wentBack: false },
  { of: 'that was set back', row: { file: '16401', last: '6' }, wentBack: true },
  { of: 'that was begun anew, and of which more was drawn since', row: { file: '16402', last: '8' }, wentBack: true },
  { of: 'that was begun anew, and whose last id may not be read', row: { file: '16402', last: null }, wentBack: true },
])('the ids of a sequence $of went back: $wentBack', ({ row, wentBack }) => {
  expect(watch.wentBack(row, 7n)).toBe(wentBack)
})
