import type { AppliedCronJob, TickingStep } from './cron-job-state.ts'

/**
 * Since when a step ticks on its schedule of now. A schedule that is new, and one that comes back after it was suspended,
 * holds from its save on; a save for another reason leaves it as it was. So it is with the local scheduler, while
 * Kubernetes fires at once what a new schedule had due within its deadline before: the program of a tick passes over what
 * lies before this.
 */
export const tickingSince = (step: TickingStep, applied: AppliedCronJob | null): Date => {
  if (applied === null) return step.savedAt
  const { schedule, timeZone } = step.config
  if (applied.schedule !== schedule || applied.timeZone !== timeZone) return step.savedAt
  return applied.suspended && !isSuspended(step) ? step.savedAt : applied.since
}

/** Whether a step has no ticks for now: its own wish, or its workflow is disabled. */
export const isSuspended = ({ enabled, config }: TickingStep): boolean => !enabled || config.suspend
