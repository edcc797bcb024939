import { expect, test } from 'vitest'
import { benchNames, readOptions } from './options.ts'

test('no name is all of them, with the usual numbers', () => {
  expect(readOptions([])).toEqual({
    ok: true,
    names: benchNames,
    options: { rows: null, window: 2_000, rounds: 3, kills: null, full: false, profile: false },
  })
})

test('names and options are taken in any order', () => {
  expect(readOptions(['relay', '--rows', '20000', '--profile', 'idle', '--window=500'])).toMatchObject({
    ok: true,
    names: ['relay', 'idle'],
    options: { rows: 20_000, window: 500, profile: true },
  })
})

test('every problem is told at once, with the name that was probably meant', () => {
  expect(readOptions(['relai', '--round=3', '--rows', 'many', '--full=yes'])).toEqual({
    ok: false,
    problems: [
      'there is no bench "relai", did you mean "relay"?',
      'there is no option --round, did you mean "rounds"?',
      '--rows: expected a whole number from 1 to 100,000,000, got "many"',
      '--full takes no value, "yes" came',
    ],
  })
})
