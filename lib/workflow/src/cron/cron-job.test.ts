import { expect, test } from 'vitest'
import { cronOf } from './cron-job.ts'

/** The days of the next ticks from Tuesday, 3 November 2026 on. */
const daysOf = (schedule: string): string[] =>
  cronOf({ schedule, timeZone: 'UTC' })
    .nextRuns(3, new Date('2026-11-03T00:00:00Z'))
    .map((tick) => tick.toISOString().slice(5, 10))

const mondays = ['11-09', '11-16', '11-23']
const firsts = ['12-01', '01-01', '02-01']
const days = ['11-03', '11-04', '11-05']

// What the parser of Kubernetes makes of them, robfig/cron v3.0.1: `starBit` in `getRange`, and `dayMatches`.
test.each([
  ['0 8 * * 1', mondays],
  ['0 8 */1 * 1', mondays],
  ['0 8 ?/01 * 1', mondays],
  ['0 8 *,5 * 1', mondays],
  ['0 8 1,?,5 * MON', mondays],
  ['0 8 1 * */1', firsts],
  ['0 8 1 * 2,*', firsts],
  ['0 8 */1 * *', days],
  ['0 8 */1 * */1', days],
  ['  0  8 */1 * */1 ', days],
  // Neither is a star: either will do.
  ['0 8 1-31 * 1', days],
  ['0 8 */30 * 1', ['11-09', '11-16', '11-23']],
  ['0 8 */10 * 1', ['11-09', '11-11', '11-16']],
  ['@monthly', firsts],
])('"%s" means the days that it means to Kubernetes', (schedule, expected) => {
  expect(daysOf(schedule)).toEqual(expected)
})
