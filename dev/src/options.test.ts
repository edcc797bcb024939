import { expect, test } from 'vitest'
import { readOptions } from './options.ts'

test('without words, it runs until it is stopped', () => {
  expect(readOptions([])).toEqual({
    ok: true,
    options: { once: false, fresh: false, keep: false, help: false, leads: null, port: null, data: null },
  })
})

test('options are read in any order, values with a space or an equals sign', () => {
  expect(readOptions(['--leads', '1000', '--once', '--port=9000', '--keep', '--data', 'd'])).toEqual({
    ok: true,
    options: { once: true, fresh: false, keep: true, help: false, leads: 1000, port: 9000, data: 'd' },
  })
})

test('every problem is told at once, with the nearest option or what was expected', () => {
  expect(readOptions(['--lead', '5', '--port', 'http', '--once=yes'])).toEqual({
    ok: false,
    problems: [
      'there is no option --lead, did you mean "--leads"?',
      '"5" is not an option, options begin with --',
      '--port expects a whole number from 1 to 65535, "http" is not',
      '--once takes no value, "yes" came',
    ],
  })
})

test('of options that are as near, the one that begins alike is named', () => {
  expect(readOptions(['--leed'])).toEqual({
    ok: false,
    problems: ['there is no option --leed, did you mean "--leads"?'],
  })
})

test('an option that comes twice is refused, whatever its values', () => {
  expect(readOptions(['--leads', '5', '--leads=6', '--once', '--once'])).toEqual({
    ok: false,
    problems: ['--leads came more than once', '--once came more than once'],
  })
})

test('--keep alone would change nothing, so it is refused', () => {
  expect(readOptions(['--keep'])).toEqual({ ok: false, problems: ['--keep goes with --once'] })
})

test('a value that is left out is not taken from the next option', () => {
  expect(readOptions(['--data', '--once'])).toEqual({
    ok: false,
    problems: ['--data expects a folder, "--once" is not'],
  })
  expect(readOptions(['--leads'])).toEqual({
    ok: false,
    problems: ['--leads expects a whole number from 0 to 10000000, nothing came'],
  })
})
