import { expect, test } from 'vitest'
import { isBeforeSchedule, isRepeated, tickKey } from './tick-key.ts'

const minuteOf = (time: string): number => Date.parse(`2026-11-26T${time}Z`) / 60_000
const since = new Date('2026-11-26T18:00:30Z')

test.each(['18:00', '17:58', '00:00'])('a tick of %s is of a minute before its schedule held', (time) => {
  expect(isBeforeSchedule(`shop/leads-0f3a-${minuteOf(`${time}:00`)}`, since)).toBe(true)
})

test.each(['18:01', '23:59'])('a tick of %s is of its schedule', (time) => {
  expect(isBeforeSchedule(`shop/leads-0f3a-${minuteOf(`${time}:00`)}`, since)).toBe(false)
})

test('a tick of the minute in which the schedule begins to hold is of its schedule', () => {
  const minute = new Date('2026-11-26T18:00:00Z')
  expect(isBeforeSchedule(`shop/leads-${minuteOf('18:00:00')}`, minute)).toBe(false)
})

test.each(['by-hand', 'by-hand-1', 'leads-20261126', 'leads-1764180000000', `${minuteOf('18:00:00')}`, 'leads-'])(
  'a Job by hand has no minute, whatever its name: %s',
  (job) => {
    expect(isBeforeSchedule(`shop/${job}`, since)).toBe(false)
  },
)

test('the key of a tick without a cluster has no such minute', () => {
  expect(isBeforeSchedule('local/0f3a/2026-11-26T18:00:00.000Z', since)).toBe(false)
})

/** In New York the clock goes from 01:59 back to 01:00 in that night, at 06:00 UTC; on Lord Howe Island by half an hour. */
const newYork = 'America/New_York'
const lordHowe = 'Australia/Lord_Howe'

test.each([
  ['30 1 * * *', newYork, '2026-11-01T05:30Z', false],
  ['30 1 * * *', newYork, '2026-11-01T06:30Z', true],
  ['30 1 * * *', newYork, '2026-11-02T06:30Z', false],
  // Hours and minutes go on evenly.
  ['30 * * * *', newYork, '2026-11-01T06:30Z', false],
  ['*/15 * * * *', newYork, '2026-11-01T06:30Z', false],
  ['45 1 * * *', lordHowe, '2026-04-04T14:45Z', false],
  ['45 1 * * *', lordHowe, '2026-04-04T15:15Z', true],
  ['30 1 * * *', 'UTC', '2026-11-01T01:30Z', false],
  // No minute of the schedule, and no repeated one either: it was fired, so it is a tick.
  ['30 1 * * *', newYork, '2026-11-01T08:00Z', false],
])('a tick of %s in %s at %s comes again: %s', (schedule, timeZone, time, again) => {
  expect(isRepeated(`shop/leads-0f3a-${Date.parse(time) / 60_000}`, { schedule, timeZone })).toBe(again)
})

test.each(['shop/by-hand', 'shop/leads-1764180000000', 'local/0f3a/2026-11-01T06:30:00.000Z'])(
  'what has no minute in its name does not come again: %s',
  (key) => {
    expect(isRepeated(key, { schedule: '30 1 * * *', timeZone: newYork })).toBe(false)
  },
)

test.each(['shop/leads-29917080', 'local/0f3a/2026-11-26T18:00:00.000Z', 'a'])('%s is the key of a tick', (key) => {
  expect(tickKey.parse(key)).toEqual({ ok: true, value: key })
})

test.each(['', 'shop/', '/leads-29917080', '/', 'shop/$(JOB_NAME)', '$(POD_NAMESPACE)/leads-29917080'])(
  '%s would be the key of many ticks, and is refused',
  (key) => {
    expect(tickKey.parse(key)).toMatchObject({ ok: false })
  },
)
