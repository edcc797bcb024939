import { cronJobConfig } from '@esteira/workflow'
import { expect, test } from 'vitest'
import { overdueTick } from './overdue-tick.ts'

const at = (time: string) => new Date(`2026-03-10T${time}Z`)

/** What is overdue of a step that ticks each hour since eight, by when it last began a run, or never. */
const overdue = (
  { last, now }: { last?: string; now: string },
  change: { enabled?: boolean; config?: object | null } = {},
): string | undefined => {
  const { enabled = true, config = {} } = change
  const hourly = { schedule: '0 * * * *', payload: [], ...config }
  const step = { enabled, since: at('08:00:00'), config: config === null ? null : cronJobConfig.parse(hourly) }
  return overdueTick(step, last === undefined ? undefined : { at: at(last) }, at(now))
    ?.toISOString()
    .slice(11, 16)
}

test('a tick without a run is overdue after two minutes, until a run has begun', () => {
  expect(overdue({ now: '09:02:00' })).toBeUndefined()
  expect(overdue({ now: '09:02:01' })).toBe('09:00')
  expect(overdue({ now: '10:01:00' })).toBe('09:00')
  expect(overdue({ now: '10:02:01' })).toBe('10:00')
  expect(overdue({ last: '09:00:03', now: '09:30:00' })).toBeUndefined()
  expect(overdue({ last: '09:00:03', now: '10:30:00' })).toBe('10:00')
  // By a clock that is behind.
  expect(overdue({ last: '08:59:40', now: '09:30:00' })).toBeUndefined()
  expect(overdue({ last: '08:59:20', now: '09:30:00' })).toBe('09:00')
  // However late it was.
  expect(overdue({ last: '10:20:00', now: '10:30:00' })).toBeUndefined()
})

test('what was due before the schedule held is not, nor what does not tick', () => {
  expect(overdue({ now: '08:30:00' })).toBeUndefined()
  const now = '10:30:00'
  expect(overdue({ now }, { enabled: false })).toBeUndefined()
  expect(overdue({ now }, { config: { suspend: true } })).toBeUndefined()
  expect(overdue({ now }, { config: null })).toBeUndefined()
  expect(overdue({ now }, { config: { schedule: '0 0 31 2 *' } })).toBeUndefined()
})
