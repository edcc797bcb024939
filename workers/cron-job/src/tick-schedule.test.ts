import { loadConfig } from '@esteira/service'
import { expect, test } from 'vitest'
import { tickSchedule, tickTimeZone } from './tick-schedule.ts'

const load = (env: Record<string, string>) => loadConfig(env, { schedule: tickSchedule, timeZone: tickTimeZone })

test('a schedule and a zone need not be there', () => {
  expect(load({})).toEqual({ schedule: '', timeZone: 'UTC' })
})

test.each([
  ['0 8 * * 1-5', 'America/Sao_Paulo'],
  ['*/15 8-18 1,15 JAN-MAR sun', 'Etc/GMT+3'],
  ...['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'].map((macro) => [macro, 'UTC']),
])('the schedule %s in %s is taken as it is', (schedule, timeZone) => {
  const env = { ESTEIRA_TICK_SCHEDULE: schedule, ESTEIRA_TICK_TIME_ZONE: timeZone }
  expect(load(env)).toEqual({ schedule, timeZone })
})

test.each([
  [
    'ESTEIRA_TICK_SCHEDULE',
    '0 25 * * *',
    /^ESTEIRA_TICK_SCHEDULE .*expected five fields of cron or a macro such as @daily/,
  ],
  ['ESTEIRA_TICK_SCHEDULE', '', /^ESTEIRA_TICK_SCHEDULE .*expected five fields/],
  [
    'ESTEIRA_TICK_TIME_ZONE',
    'Mars/Olympus',
    /^ESTEIRA_TICK_TIME_ZONE .*expected a time zone of the IANA database, such as/,
  ],
])('a %s of %j is a fault of the environment, which names the variable', (variable, value, fault) => {
  expect(() => load({ [variable]: value })).toThrow(fault)
})
