import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'

/**
 * Ends a run of which nothing is open any more; true when it did. Calling it too often or for the wrong run changes
 * nothing, so a commit only hints at it and a sweep repeats it wherever a hint was lost.
 *
 * Locks: the run's row alone. New jobs of a run come only from its open ones, in the same transaction, so counters
 * that are read as all closed after the lock stay closed.
 */
export const settleRun = (em: EntityManager, runId: string): Promise<boolean> =>
  em.transactional(async (em) => {
    const tx = queryable(em)
    const held = await tx.query(`select id from workflow_run where id = $1 and status = 'running' for no key update`, [
      runId,
    ])
    if (held.rows.length === 0) return false
    const ended = await tx.query(
      `update workflow_run run
       set finished_at = clock_timestamp(),
           status = case when counted.failed > 0 then 'failed' else 'succeeded' end
       from (
         select sum(staged + belt) as open, sum(failed) as failed from workflow_run_step where run_id = $1
       ) counted
       where run.id = $1 and counted.open = 0
       returning run.id`,
      [runId],
    )
    return ended.rows.length === 1
  })

/**
 * Ends the runs of which nothing is open but which still say `running`, the oldest first, at most `limit`; returns how
 * many. A worker that dies between its commit and its hint leaves such a run.
 */
export const settleWaitingRuns = async (em: EntityManager, limit: number): Promise<number> => {
  const { rows } = await queryable(em).query(
    `select run.id from workflow_run run
     where run.status = 'running'
       and not exists (select from workflow_run_step where run_id = run.id and staged + belt > 0)
     order by run.id
     limit $1`,
    [limit],
  )
  let ended = 0
  for (const { id } of runRows.parse(rows)) {
    if (await settleRun(em, id)) ended += 1
  }
  return ended
}

const runRows = z.array(z.object({ id: z.string() }))
