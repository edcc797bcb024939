import { expect, test } from 'vitest'
import { describeDifference } from './describe-difference.ts'

const lines = (count: number, change: Record<number, string> = {}) =>
  Array.from({ length: count }, (_, index) => change[index] ?? `line ${index}`).join('\n')

test('texts that are the same do not differ', () => {
  expect(describeDifference(lines(5), lines(5))).toBeNull()
})

test('a changed line is shown before and after, with three lines around', () => {
  expect(describeDifference(lines(20), lines(20, { 10: 'changed' }))?.split('\n')).toEqual([
    '  line 7',
    '  line 8',
    '  line 9',
    '- line 10',
    '+ changed',
    '  line 11',
    '  line 12',
    '  line 13',
    '...',
    '',
  ])
})

test('lines that only one text has are shown as added or removed', () => {
  const before = 'a\nb'
  expect(describeDifference(before, `${before}\nc`)).toContain('+ c')
  expect(describeDifference(`${before}\nc`, before)).toContain('- c')
})
