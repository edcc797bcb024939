import { type CronJobConfig, cronOf } from '@esteira/workflow'

/** A step that ticks: its schedule, and since when, by the database's clock. */
export type Schedule = Pick<CronJobConfig, 'schedule' | 'timeZone' | 'startingDeadlineSeconds'> & {
  stepId: string
  since: Date
}

/** One expected firing of a cron step. */
export type Tick = { stepId: string; at: Date }

/** The first tick of each step that was not looked at yet, and the schedule it follows. */
export type Awaited = ReadonlyMap<string, { schedule: string; timeZone: string; next: Date | null }>

/** What a look at the clock gives. `missed` are ticks that are too late to be fired. */
export type Look = { due: Tick[]; missed: Tick[]; awaited: Awaited }

/**
 * Which ticks are due. Of several that a step has missed only the newest counts, and only within its deadline. A step
 * that is new here (after a restart all are) or has another schedule ticks from the save of that schedule on; one whose
 * workflow was saved for another reason goes on as it was, so no save can swallow a tick.
 */
export const dueTicks = (desired: readonly Schedule[], before: Awaited, now: Date): Look => {
  const due: Tick[] = []
  const missed: Tick[] = []
  const awaited = new Map<string, { schedule: string; timeZone: string; next: Date | null }>()
  for (const step of desired) {
    const { stepId, schedule, timeZone } = step
    const deadline = new Date(now.getTime() - step.startingDeadlineSeconds * 1000)
    const known = before.get(stepId)
    const next =
      known?.schedule === schedule && known.timeZone === timeZone
        ? known.next
        : cronOf(step).nextRun(later(step.since, deadline))
    if (next === null || next > now) {
      awaited.set(stepId, { schedule, timeZone, next })
      continue
    }
    const at = newestFrom(next, step, now)
    if (at > deadline) due.push({ stepId, at })
    else missed.push({ stepId, at })
    awaited.set(stepId, { schedule, timeZone, next: cronOf(step).nextRun(now) })
  }
  return { due, missed, awaited }
}

/** Milliseconds until the next awaited tick, at most `pollMs`. */
export const pauseUntilNext = (awaited: Awaited, now: Date, pollMs: number): number =>
  [...awaited.values()].reduce(
    (pause, { next }) => (next === null ? pause : Math.max(0, Math.min(pause, next.getTime() - now.getTime()))),
    pollMs,
  )

/** The key of a tick: whoever fires it, and however often, begins one run. */
export const keyOf = ({ stepId, at }: Tick): string => `local/${stepId}/${at.toISOString()}`

/** The newest tick from `first` until now, both included. */
const newestFrom = (first: Date, step: Schedule, now: Date): Date => {
  // Croner gives the runs before a time, and a tick at this very moment is due.
  const [newest = first] = cronOf(step).previousRuns(1, new Date(now.getTime() + 1))
  return later(first, newest)
}

const later = (a: Date, b: Date): Date => (a > b ? a : b)
