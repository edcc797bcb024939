import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Awaited, dueTicks, keyOf, pauseUntilNext, type Schedule } from './due-ticks.ts'

const at = (time: string) => new Date(`2026-03-10T${time}Z`)

const everyMinute = (change: Partial<Schedule> = {}): Schedule => ({
  stepId: 'a',
  schedule: '* * * * *',
  timeZone: 'UTC',
  startingDeadlineSeconds: 120,
  since: at('08:00:00'),
  ...change,
})

/** Looks at the clock again and again, as the scheduler does, and collects what was due. */
const follow = (looks: [string, Schedule[]][], before: Awaited = new Map()) => {
  let awaited = before
  const fired: string[] = []
  const missed: string[] = []
  for (const [time, desired] of looks) {
    const look = dueTicks(desired, awaited, at(time))
    awaited = look.awaited
    fired.push(...look.due.map((tick) => `${tick.stepId} ${tick.at.toISOString().slice(11, 16)}`))
    missed.push(...look.missed.map((tick) => tick.at.toISOString().slice(11, 16)))
  }
  return { fired, missed, awaited }
}

test('each tick is due once, from its very moment on', () => {
  const step = everyMinute({ since: at('09:00:30') })
  const looks: [string, Schedule[]][] = [
    '09:00:30',
    '09:00:59.999',
    '09:01:00',
    '09:01:00.001',
    '09:01:59',
    '09:02:00.5',
  ].map((time) => [time, [step]])
  expect(follow(looks).fired).toEqual(['a 09:01', 'a 09:02'])
})

test('a step ticks from its save on, not before', () => {
  expect(follow([['09:00:20', [everyMinute({ since: at('09:00:10') })]]]).fired).toEqual([])
})

test('after a restart the newest missed tick is due, if it is within the deadline', () => {
  expect(follow([['09:05:30', [everyMinute()]]]).fired).toEqual(['a 09:05'])
  const hourly = everyMinute({ schedule: '0 * * * *' })
  expect(follow([['09:01:59', [hourly]]]).fired).toEqual(['a 09:00'])
  expect(follow([['09:02:01', [hourly]]]).fired).toEqual([])
})

test('of several ticks that were slept through only the newest is due', () => {
  const step = everyMinute({ since: at('09:00:30'), startingDeadlineSeconds: 600 })
  expect(
    follow([
      ['09:00:40', [step]],
      ['09:04:10', [step]],
    ]).fired,
  ).toEqual(['a 09:04'])
})

test('a tick that is found too late is told as missed', () => {
  const step = everyMinute({ schedule: '0 9 * * *' })
  expect(
    follow([
      ['08:30:00', [step]],
      ['09:10:00', [step]],
    ]),
  ).toMatchObject({ fired: [], missed: ['09:00'] })
})

test('a save for another reason does not swallow the tick that was due', () => {
  const before = everyMinute({ since: at('08:59:00') })
  const renamed = everyMinute({ since: at('09:00:00.050') })
  expect(
    follow([
      ['08:59:30', [before]],
      ['09:00:00.100', [renamed]],
    ]).fired,
  ).toEqual(['a 09:00'])
})

test('a new schedule holds from the save on', () => {
  const before = everyMinute({ since: at('08:59:00') })
  const changed = everyMinute({ schedule: '*/2 * * * *', since: at('09:00:30') })
  expect(
    follow([
      ['08:59:30', [before]],
      ['09:00:00', [before]],
      ['09:00:31', [changed]],
      ['09:01:00', [changed]],
      ['09:02:00', [changed]],
    ]).fired,
  ).toEqual(['a 09:00', 'a 09:02'])
})

test('a step that is gone or suspended for a while begins anew from the save that brought it back', () => {
  const before = everyMinute({ since: at('08:59:00') })
  const back = everyMinute({ since: at('09:01:30') })
  expect(
    follow([
      ['08:59:30', [before]],
      ['09:00:30', []],
      ['09:01:40', [back]],
      ['09:02:00', [back]],
    ]).fired,
  ).toEqual(['a 09:02'])
})

test('a clock that is set back fires nothing twice', () => {
  const step = everyMinute({ since: at('08:59:30') })
  expect(
    follow([
      ['09:00:00', [step]],
      ['08:59:59', [step]],
      ['09:00:00', [step]],
      ['09:01:00', [step]],
    ]).fired,
  ).toEqual(['a 09:00', 'a 09:01'])
})

test('the schedule is read in its zone', () => {
  const step = everyMinute({ schedule: '0 6 * * *', timeZone: 'America/Sao_Paulo' })
  expect(
    follow([
      ['08:59:00', [step]],
      ['09:00:00', [step]],
    ]).fired,
  ).toEqual(['a 09:00'])
})

test('whenever one looks, no tick is due twice and the newest is never left out', () => {
  const seconds = fc.array(fc.integer({ min: 0, max: 3_600 }), { minLength: 1, maxLength: 60 })
  fc.assert(
    fc.property(seconds, (looked) => {
      const step = everyMinute({ schedule: '*/10 * * * *', since: at('09:00:00'), startingDeadlineSeconds: 86_400 })
      let awaited: Awaited = new Map()
      const fired = [0, ...looked.toSorted((a, b) => a - b)].flatMap((second) => {
        const look = dueTicks([step], awaited, new Date(at('09:00:00').getTime() + second * 1_000))
        awaited = look.awaited
        return look.due.map((tick) => tick.at.getTime())
      })
      expect(new Set(fired).size).toBe(fired.length)
      const last = Math.max(...looked)
      const newest = last - (last % 600)
      if (newest > 0) expect(fired.at(-1)).toBe(at('09:00:00').getTime() + newest * 1_000)
    }),
  )
})

test('the pause ends with the next tick, and at the latest with the poll', () => {
  const { awaited } = follow([['09:00:58', [everyMinute({ since: at('09:00:10') })]]])
  expect(pauseUntilNext(awaited, at('09:00:58'), 3_000)).toBe(2_000)
  expect(pauseUntilNext(awaited, at('09:00:30'), 3_000)).toBe(3_000)
  expect(pauseUntilNext(new Map(), at('09:00:30'), 3_000)).toBe(3_000)
})

test('a tick has the same key whoever finds it', () => {
  expect(keyOf({ stepId: 'a', at: at('09:00:00') })).toBe('local/a/2026-03-10T09:00:00.000Z')
})

/** All ticks of a schedule between two moments, as the scheduler fires them when it looks every minute. */
const ticksBetween = (schedule: string, timeZone: string, from: string, to: string): string[] => {
  const step = { ...everyMinute(), schedule, timeZone, since: new Date(from) }
  const keys: string[] = []
  let awaited: Awaited = new Map()
  for (let ms = Date.parse(from); ms <= Date.parse(to); ms += 60_000) {
    const look = dueTicks([step], awaited, new Date(ms))
    awaited = look.awaited
    keys.push(...look.due.map((tick) => keyOf(tick).slice('local/a/'.length)))
  }
  return keys
}

test('a time that the clock leaves out in spring ticks once, as soon as the clock has passed it', () => {
  // From 02:00 to 03:00 in New York, 07:00 in UTC.
  const ticks = ticksBetween('30 2 * * *', 'America/New_York', '2026-03-07T05:00:00Z', '2026-03-10T05:00:00Z')
  expect(ticks).toEqual(['2026-03-07T07:30:00.000Z', '2026-03-08T07:00:00.000Z', '2026-03-09T06:30:00.000Z'])
})

test('a time that the clock has twice in autumn ticks once', () => {
  // From 02:00 back to 01:00 in New York, 06:00 in UTC.
  const ticks = ticksBetween('30 1 * * *', 'America/New_York', '2026-10-31T04:00:00Z', '2026-11-03T04:00:00Z')
  expect(ticks).toEqual(['2026-10-31T05:30:00.000Z', '2026-11-01T05:30:00.000Z', '2026-11-02T06:30:00.000Z'])
})

test.each([
  ['spring', '2026-03-08T04:00:00Z', '2026-03-08T10:00:00Z'],
  ['autumn', '2026-11-01T04:00:00Z', '2026-11-01T10:00:00Z'],
])('every quarter of an hour is four ticks an hour through the change of the clock in %s', (_, from, to) => {
  const ticks = ticksBetween('*/15 * * * *', 'America/New_York', from, to)
  expect(ticks).toHaveLength(24)
  expect(new Set(ticks).size).toBe(24)
  for (const [index, tick] of ticks.entries()) {
    expect(Date.parse(tick)).toBe(Date.parse(from) + (index + 1) * 15 * 60_000)
  }
})
