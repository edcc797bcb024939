import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { transactionFor } from '../../job/unit/limit-lock-waits.ts'
import { endRuns } from './end-runs.ts'
import { releaseJobs } from './release.ts'
import type { Releaser } from './release.ts'

/**
 * Brings runs to where their counters say that they are: windows that are half free are filled up with jobs that wait,
 * and runs of which nothing is open are ended. Calling it too often or for the wrong runs changes nothing, so a commit
 * only hints at it and a sweep repeats it wherever a hint was lost.
 */
export const settle = async (em: EntityManager, runIds: readonly string[], by: Releaser): Promise<void> => {
  if (runIds.length === 0) return
  await releaseJobs(em, runIds, by)
  await endOver(em, runIds, lockSql, by)
}

/**
 * Ends those of the runs of which nothing is open any more, as `cancelled` if that was asked for; returns which.
 *
 * Locks: the rows of the runs alone, in the order of their ids. New jobs of a run come only from its open ones, in the
 * same transaction, so counters that are read as all closed after the lock stay closed. They are read by a statement of
 * their own: in the one that waits for the lock they could be older than what the lock waited for.
 */
export const endIfOver = (
  em: EntityManager,
  runIds: readonly string[],
  by: Pick<Releaser, 'limitsWaits'> = {},
): Promise<string[]> => endOver(em, runIds, lockSql, by)

/** Likewise for a sweep: a run whose row somebody else has locked is left to its next turn, and holds up no other. */
export const endIfFree = (em: EntityManager, runIds: readonly string[]): Promise<string[]> =>
  endOver(em, runIds, `${lockSql} skip locked`)

const lockSql = `
  select id from workflow_run where id = any ($1::uuid[]) and status in ('running', 'cancelling')
  order by id for no key update`

const endOver = async (
  em: EntityManager,
  runIds: readonly string[],
  lockRunsSql: string,
  { limitsWaits = false }: Pick<Releaser, 'limitsWaits'> = {},
): Promise<string[]> => {
  if (runIds.length === 0) return []
  return transactionFor(limitsWaits)(em, async (em) => {
    const tx = queryable(em)
    const open = runRows.parse((await tx.query(lockRunsSql, [runIds])).rows).map(({ id }) => id)
    return open.length === 0 ? [] : endRuns(tx, open)
  })
}

/**
 * Settles the runs of which nothing is open but which are not ended, the oldest first, at most `limit`; returns how many
 * were ended. A worker that dies between its commit and its hint leaves such a run.
 */
export const settleWaitingRuns = async (em: EntityManager, limit: number): Promise<number> => {
  const { rows } = await queryable(em).query(
    `select run.id from workflow_run run
     where run.status in ('running', 'cancelling')
       and coalesce((select sum(staged + belt) from workflow_run_step where run_id = run.id), 0) = 0
     order by run.id
     limit $1`,
    [limit],
  )
  const ended = await endIfFree(
    em,
    runRows.parse(rows).map(({ id }) => id),
  )
  return ended.length
}

const runRows = z.array(z.object({ id: z.string() }))
