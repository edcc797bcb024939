import { queryable } from '@esteira/outbox'
import { cronJobConfig, cronJobFunctionName } from '@esteira/workflow'
import type { EntityManager } from '@mikro-orm/postgresql'

type Saved = { id: string; functionName: string; config: Record<string, unknown> }

/**
 * Notes since when the CronJob steps of a version tick as they do. A schedule that is new, and one that comes back after it
 * was suspended, holds from this save on; a save for another reason leaves it as it was.
 *
 * Locks: the steps' rows, under the lock of their workflow's, which whoever saves it has.
 */
export const noteSchedules = async (em: EntityManager, enabled: boolean, steps: readonly Saved[]): Promise<void> => {
  const ticking = steps.flatMap(({ id, functionName, config }) => {
    const read = functionName === cronJobFunctionName ? cronJobConfig.safeParse(config).data : undefined
    return read === undefined ? [] : [{ id, ...read, suspended: !enabled || read.suspend }]
  })
  if (ticking.length === 0) return
  await queryable(em).query(noteSql, [
    ticking.map(({ id }) => id),
    ticking.map(({ schedule }) => schedule),
    ticking.map(({ timeZone }) => timeZone),
    ticking.map(({ suspended }) => suspended),
  ])
}

const noteSql = `
  insert into workflow_schedule as before (step_id, schedule, time_zone, suspended, since)
  select step_id, schedule, time_zone, suspended, now()
  from unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[]) as saved (step_id, schedule, time_zone, suspended)
  on conflict (step_id) do update set
    schedule = excluded.schedule, time_zone = excluded.time_zone, suspended = excluded.suspended,
    since = case
      when before.schedule = excluded.schedule and before.time_zone = excluded.time_zone
        and (excluded.suspended or not before.suspended)
      then before.since else excluded.since end`
