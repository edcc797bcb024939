import { expect, test } from 'vitest'
import { faultOfTimeZone } from './check-time-zone.ts'

test.each([
  'UTC',
  'Etc/UTC',
  'GMT',
  'EST',
  'EST5EDT',
  'America/Sao_Paulo',
  'Brazil/East',
  'Asia/Kolkata',
  'Asia/Calcutta',
  'US/Eastern',
  'Etc/GMT+3',
  'Zulu',
])('%s is a time zone', (zone) => {
  expect(faultOfTimeZone(zone)).toBeNull()
})

test('so is each that Node lists', () => {
  expect(Intl.supportedValuesOf('timeZone').filter((zone) => faultOfTimeZone(zone) !== null)).toEqual([])
})

test.each(['AST', 'BST', 'PST', 'CST', 'IST', 'SystemV/PST8PDT', 'ast', '+03:00', '-03'])(
  '%s, which Node may know and Kubernetes does not, is none, and not taken for another',
  (zone) => {
    expect(faultOfTimeZone(zone)).toBe(`"${zone}" is no IANA time zone, such as "America/Sao_Paulo"`)
  },
)

test.each([
  ['america/sao_paulo', 'America/Sao_Paulo'],
  ['us/pacific', 'US/Pacific'],
  ['etc/utc', 'Etc/UTC'],
  ['utc', 'UTC'],
  ['gmt', 'GMT'],
  ['asia/calcutta', 'Asia/Calcutta'],
])('%s is told how it is spelt', (zone, spelt) => {
  expect(faultOfTimeZone(zone)).toBe(`"${zone}" is spelt "${spelt}"`)
})

test.each([
  ['America/SaoPaulo', '"America/SaoPaulo" is no IANA time zone, did you mean "America/Sao_Paulo"?'],
  ['Brasília', '"Brasília" is no IANA time zone, such as "America/Sao_Paulo"'],
  ['Factory', '"Factory" is no IANA time zone, such as "America/Sao_Paulo"'],
])('%s is refused: %s', (zone, message) => {
  expect(faultOfTimeZone(zone)).toBe(message)
})
