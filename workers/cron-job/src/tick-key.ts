import { type Setting, text } from '@esteira/service'
import { cronOf, longestDeadlineSeconds } from '@esteira/workflow/tick'

/**
 * The key of a tick, `job/` and the Job's name in a cluster. A name that Kubernetes did not know there is empty, or stands as
 * it was written, `$(JOB_NAME)`: the key would then be that of every tick, and only the first would begin a run.
 */
export const tickKey: Setting<string> = {
  ...text('ESTEIRA_TICK_KEY'),
  parse: (value) =>
    value.includes('$(') || value.split('/').includes('')
      ? { ok: false, expected: 'a key that no other tick has, such as job/leads-29917080', hint: '' }
      : { ok: true, value },
}

/**
 * Whether a tick is of a minute in which the schedule of its step did not hold yet. Kubernetes fires the newest such
 * minute when a schedule is changed, as one that was missed (https://github.com/kubernetes/kubernetes/issues/63371).
 */
export const isBeforeSchedule = (key: string, since: Date): boolean => {
  const at = minuteOf(key)
  // No deadline reaches further back. Whoever makes a Job by hand may end its name with a number that is no minute.
  return at < since.getTime() && at >= since.getTime() - longestDeadlineSeconds * 1_000
}

/**
 * Whether a tick is of a time that the clock of its zone shows for the second time, and its schedule takes the first one
 * alone. Kubernetes fires a nightly schedule at both
 * (https://github.com/robfig/cron/blob/v3.0.1/spec_test.go#L144), under two keys, so that night would have two runs.
 *
 * Only such a minute is looked at: any other that Kubernetes fires is a tick, whatever croner would say of it.
 */
export const isRepeated = (key: string, schedule: { schedule: string; timeZone: string }): boolean => {
  const at = new Date(minuteOf(key))
  if (Number.isNaN(at.getTime()) || !isShownAgain(at, schedule.timeZone)) return false
  const next = cronOf(schedule).nextRun(new Date(at.getTime() - 1))
  return next?.getTime() !== at.getTime()
}

/** Whether the clock of a zone has shown a time before: it was put back in between. */
const isShownAgain = (at: Date, timeZone: string): boolean => {
  const clock = new Intl.DateTimeFormat('en', { timeZone, dateStyle: 'short', timeStyle: 'short' })
  const shown = clock.format(at)
  return putBackMinutes.some((minutes) => clock.format(new Date(at.getTime() - minutes * 60_000)) === shown)
}

/** By how much clocks are put back: half an hour on Lord Howe Island, two hours at Troll, else an hour. */
const putBackMinutes = [30, 60, 120]

/** The minute of a tick, in milliseconds: a CronJob's Jobs are named after it and its minute, as `leads-29917080`. */
const minuteOf = (key: string): number => Number(/-(\d+)$/.exec(key)?.[1] ?? Number.NaN) * 60_000
