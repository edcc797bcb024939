import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { withinLockLimit } from '../../job/unit/limit-lock-waits.ts'

/**
 * Of these runs, which a settle would have to wait for in this moment: somebody has the row locked, or any of the counters.
 * A commit needs less of the row, so a run may be free for those that is not for this.
 *
 * Locks: what is free, as a settle does, for as long as the statement takes. It passes over the rest, so it waits
 * for nobody but who has a whole table locked, and for that no longer than a settle.
 */
export const lockedRuns = (em: EntityManager, runIds: readonly string[]): Promise<ReadonlySet<string>> =>
  withinLockLimit(em, async (em) => {
    const { rows } = await queryable(em).query(lockedSql, [runIds])
    return new Set(lockedRows.parse(rows).map(({ id }) => id))
  })

// What is gone is not locked.
const lockedSql = `
  with free_run as (
    select id from workflow_run where id = any ($1::uuid[])
    for no key update skip locked
  ), free_counters as (
    select run_id, step_id from workflow_run_step where run_id = any ($1::uuid[])
    for no key update skip locked
  )
  select id from workflow_run where id = any ($1::uuid[]) and id not in (select id from free_run)
  union
  select run_id from workflow_run_step
  where run_id = any ($1::uuid[]) and (run_id, step_id) not in (select run_id, step_id from free_counters)`

const lockedRows = z.array(z.object({ id: z.string() }))
