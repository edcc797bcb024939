import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import type { JobOnBelt } from '../held-job.ts'
import { withinLockLimit } from './limit-lock-waits.ts'

/** What a unit of work locks for a job: its row, and what is counted and referred to of its run. */
export type Lockable = Pick<JobOnBelt, 'id' | 'runId'>

/**
 * Of these jobs and their runs, by their ids, what somebody has locked in this moment: a run is, where its row is or any of
 * its counters.
 *
 * Locks: what is free, as a unit of work does, for as long as the statement takes. It passes over the rest, so it waits for
 * nobody but who has a whole table locked, and for that no longer than any unit of work.
 */
export const lockedAmong = async (em: EntityManager, jobs: readonly Lockable[]): Promise<ReadonlySet<string>> => {
  const runs = [...new Set(jobs.map(({ runId }) => runId))]
  return withinLockLimit(em, async (em) => {
    const { rows } = await queryable(em).query(lockedSql, [jobs.map(({ id }) => id), runs])
    return new Set(lockedRows.parse(rows).map(({ id }) => id))
  })
}

// What is gone is not locked.
const lockedSql = `
  with free_job as (
    select id from workflow_job where id = any ($1::uuid[])
    for no key update skip locked
  ), free_run as (
    select id from workflow_run where id = any ($2::uuid[])
    for key share skip locked
  ), free_counters as (
    select run_id, step_id from workflow_run_step where run_id = any ($2::uuid[])
    for no key update skip locked
  )
  select id from workflow_job where id = any ($1::uuid[]) and id not in (select id from free_job)
  union
  select id from workflow_run where id = any ($2::uuid[]) and id not in (select id from free_run)
  union
  select run_id from workflow_run_step
  where run_id = any ($2::uuid[]) and (run_id, step_id) not in (select run_id, step_id from free_counters)`

const lockedRows = z.array(z.object({ id: z.string() }))
