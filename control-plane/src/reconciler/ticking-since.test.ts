import { expect, test } from 'vitest'
import { cronStep, savedAt } from '../../test/cron-step.ts'
import type { AppliedCronJob, TickingStep } from './cron-job-state.ts'
import { isSuspended, tickingSince } from './ticking-since.ts'

const earlier = new Date('2026-03-01T00:00:00Z')

/** What was applied when the step was as it is here. */
const applied = (step: TickingStep): AppliedCronJob => ({
  object: 'leads-every-hour-1',
  uid: 'uid',
  generation: 1,
  hash: 'hash',
  schedule: step.config.schedule,
  timeZone: step.config.timeZone,
  suspended: isSuspended(step),
  since: earlier,
})

test('a step that was never applied ticks from its save on', () => {
  expect(tickingSince(cronStep(), null)).toEqual(savedAt)
})

test('a save for another reason swallows no tick', () => {
  const renamed = cronStep({ name: 'hourly', config: { startingDeadlineSeconds: 600, overlap: 'skip' } })
  expect(tickingSince(renamed, applied(cronStep()))).toEqual(earlier)
})

test.each([{ schedule: '30 * * * *' }, { timeZone: 'America/Sao_Paulo' }])(
  'with %o it ticks from the save on',
  (config) => {
    expect(tickingSince(cronStep({ config }), applied(cronStep()))).toEqual(savedAt)
  },
)

const suspended = cronStep({ config: { suspend: true } })
const disabled = cronStep({ enabled: false })

test.each([suspended, disabled])('what comes back ticks from the save that brought it back', (before) => {
  expect(tickingSince(cronStep(), applied(before))).toEqual(savedAt)
})

test.each([suspended, disabled])('while it is away nothing changes', (step) => {
  expect(tickingSince(step, applied(cronStep()))).toEqual(earlier)
  expect(tickingSince(step, applied(step))).toEqual(earlier)
})
