import { cronOf } from '@esteira/workflow'
import { type CronStep, faultOfCronStep } from './read-cron-steps.ts'

/** How long a tick may be on its way: a pod has to find its node, which may have to fetch the image first. */
const patienceMs = 120_000

/** By how much the database's clock, which runs are dated by, may be behind the one that ticks go by. */
const skewMs = 30_000

/** Since when a tick may have begun a run, by the database's clock. */
export const begunSince = (tick: Date): Date => new Date(tick.getTime() - skewMs)

/**
 * The newest tick of a step, if it should have begun a run by now and none has come since: nobody fired it, a cluster took
 * the CronJob and refused the pod, or the program failed. Whoever fires ticks may have no word for it.
 */
export const overdueTick = (
  { enabled, config, since }: Pick<CronStep, 'enabled' | 'config' | 'since'>,
  last: { at: Date } | undefined,
  now: Date,
): Date | null => {
  if (config === null || !enabled || config.suspend || faultOfCronStep(config) !== null) return null
  const [due] = cronOf(config).previousRuns(1, new Date(now.getTime() - patienceMs))
  if (due === undefined || due <= since || (last !== undefined && last.at >= begunSince(due))) return null
  return due
}
