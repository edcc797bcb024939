import { type Setting, text } from '@esteira/service'
import { longestDeadlineSeconds } from '@esteira/workflow/tick'

/**
 * The key of a tick, `namespace/job` in a cluster. A name that Kubernetes did not know there is empty, or stands as it was
 * written, `$(JOB_NAME)`: the key would then be that of every tick, and only the first would begin a run.
 */
export const tickKey: Setting<string> = {
  ...text('ESTEIRA_TICK_KEY'),
  parse: (value) =>
    value.includes('$(') || value.split('/').includes('')
      ? { ok: false, expected: 'a key that no other tick has, such as namespace/job', hint: '' }
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

/** The minute of a tick, in milliseconds: a CronJob's Jobs are named after it and its minute, as `leads-29917080`. */
const minuteOf = (key: string): number => Number(/-(\d+)$/.exec(key)?.[1] ?? Number.NaN) * 60_000
