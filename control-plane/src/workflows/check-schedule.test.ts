import { expect, test } from 'vitest'
import { faultOfSchedule } from './check-schedule.ts'

test.each([
  '* * * * *',
  '*/5 * * * *',
  '0 9-18/2 * * MON-FRI',
  '0 0 1,15 JAN,jul ?',
  '  30   4 * * 0 ',
  '0 0 * * */7',
  '0 8 */1 * 1',
  '@daily',
  '@hourly',
])('"%s" is a schedule', (schedule) => {
  expect(faultOfSchedule(schedule)).toBeNull()
})

test.each([
  ['61 * * * *', 'the minute "61" is not valid: expected 0-59, with * , - / as in cron'],
  ['* 24 * * *', 'the hour "24" is not valid: expected 0-23'],
  ['* * 0 * *', 'the day of the month "0" is not valid: expected 1-31'],
  ['* * *,32 * 1', 'the day of the month "*,32" is not valid: expected 1-31'],
  ['* * L * *', 'the day of the month "L" is not valid'],
  ['* * 15W * *', 'the day of the month "15W" is not valid'],
  ['* * * 13 *', 'the month "13" is not valid: expected 1-12 or JAN-DEC'],
  ['* * * MON *', 'the month "MON" is not valid'],
  ['* * * * 7', 'the day of the week "7" is not valid: expected 0-6 or SUN-SAT'],
  ['* * * * 1#2', 'the day of the week "1#2" is not valid'],
  ['5/10 * * * *', 'the minute "5/10" is not valid'],
  ['*/0 * * * *', 'the minute "*/0" is not valid'],
  [
    '30 * * * * *',
    'expected five fields (minute, hour, day of the month, month, day of the week) or a macro such as @daily, got 6; seconds',
  ],
  ['* *', 'expected five fields'],
  ['2026-12-31T00:00:00', 'expected five fields'],
  ['0 0 31 2 *', 'never comes'],
  [
    '@dayly',
    'expected five fields or one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, did you mean "@daily"?',
  ],
  ['@reboot', 'expected five fields or one of'],
  ['@every 5m', 'expected five fields or one of'],
])('"%s" is refused: %s', (schedule, message) => {
  expect(faultOfSchedule(schedule)).toContain(message)
})
