import { queryable } from '@esteira/outbox'
import { onTestFinished } from 'vitest'
import type { Engine } from './engine.ts'

/** What of a run somebody may hold locked: what its commits count in, or what its new jobs refer to. */
export const lockSqls = {
  counters: 'select from workflow_run_step where run_id = $1 for update',
  row: 'select from workflow_run where id = $1 for update',
}

/** A lock that an end of the run waits for, and none of its commits. */
export const updateSql = 'update workflow_run set created_at = created_at where id = $1'

/** A job's own row. */
export const jobSql = 'select from workflow_job where id = $1 for update'

/** Holds rows locked, as a stranger's open transaction does, until `release` or the end of the test. */
export const holdLocked = async (engine: Engine, sql: string, ...ids: string[]) => {
  const holder = engine.em()
  await holder.begin()
  await queryable(holder).query(sql, ids)
  const release = async (): Promise<void> => {
    if (holder.isInTransaction()) await holder.rollback()
  }
  onTestFinished(release)
  return { release }
}

/** How many sessions of this database wait for a lock. */
export const waitForLocks = async (engine: Engine): Promise<number> =>
  (await engine.query(`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`))
    .length
