import type { Queryable } from '@esteira/outbox'
import type { CronJobState } from './cron-job-state.ts'

/**
 * Writes what came of a turn, so that any control plane can tell it, and the next to lead goes on from there.
 *
 * Locks: the rows, in the order of their ids, and only who leads writes them, over the session that has the lead.
 */
export const writeStates = async (lead: Queryable, states: readonly CronJobState[]): Promise<void> => {
  if (states.length === 0) return
  const sorted = states.toSorted((a, b) => (a.stepId < b.stepId ? -1 : 1))
  const columnOf = (value: (state: CronJobState) => unknown): unknown[] => sorted.map((state) => value(state) ?? null)
  await lead.query(writeSql, [
    columnOf(({ stepId }) => stepId),
    columnOf((state) => state.applied?.object),
    columnOf((state) => state.applied?.uid),
    columnOf((state) => state.applied?.generation),
    columnOf((state) => state.applied?.hash),
    columnOf((state) => state.applied?.schedule),
    columnOf((state) => state.applied?.timeZone),
    columnOf((state) => state.applied?.suspended),
    columnOf((state) => state.applied?.since.toISOString()),
    columnOf((state) => state.trouble?.kind),
    columnOf((state) => state.trouble?.code),
    columnOf((state) => state.trouble?.words),
    columnOf((state) => state.trouble?.hash),
    columnOf((state) => state.trouble?.tries),
    columnOf((state) => state.trouble?.nextTryAt.toISOString()),
    columnOf((state) => state.applied?.fitsSave?.toISOString()),
  ])
}

/** Forgets steps that are gone, and whose CronJobs are. */
export const dropStates = async (lead: Queryable, stepIds: readonly string[]): Promise<void> => {
  if (stepIds.length === 0) return
  await lead.query('delete from workflow_cron_job where step_id = any($1::uuid[])', [stepIds])
}

const writeSql = `
  insert into workflow_cron_job (
    step_id, object, uid, generation, hash, schedule, time_zone, suspended, since,
    trouble, code, words, tried_hash, tries, next_try_at, fits_save
  )
  select * from unnest(
    $1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::boolean[],
    $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::text[], $14::int[], $15::timestamptz[],
    $16::timestamptz[]
  )
  on conflict (step_id) do update set
    object = excluded.object, uid = excluded.uid, generation = excluded.generation, hash = excluded.hash,
    schedule = excluded.schedule, time_zone = excluded.time_zone, suspended = excluded.suspended,
    since = excluded.since, trouble = excluded.trouble, code = excluded.code, words = excluded.words,
    tried_hash = excluded.tried_hash, tries = excluded.tries, next_try_at = excluded.next_try_at,
    fits_save = excluded.fits_save,
    written_at = now()`
