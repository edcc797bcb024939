import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'

/**
 * How long a unit of work waits for one lock, milliseconds. Units that wait for each other's counters have them within
 * some tens; and Postgres looks for a deadlock after a second, which is to be told as one.
 */
const mostLockWaitMs = 2_000

/** Less would take the commits of others for somebody who holds a lock, and results would be given up for these. */
const leastLockWaitMs = 500

/**
 * Has Postgres give the transaction up, with `55P03`, when it waits for a lock that somebody holds for long. Where a role or a
 * database has a shorter limit that stays, if units of work that wait for each other can be done within it.
 */
export const limitLockWaits = async (em: EntityManager): Promise<void> => {
  await queryable(em).query(limitSql(mostLockWaitMs), [])
}

/** Works in a transaction that is so limited. Where that is part of another one, which goes on, the limit ends with it. */
export const withinLockLimit = async <T>(em: EntityManager, work: (em: EntityManager) => Promise<T>): Promise<T> => {
  const before = em.isInTransaction() ? await lockLimitOf(em) : null
  const result = await em.transactional(async (em) => {
    await limitLockWaits(em)
    return work(em)
  })
  if (before !== null) await queryable(em).query(`select set_config('lock_timeout', $1, true)`, [before])
  return result
}

/** Such a transaction, or one that waits for a lock as long as it takes. */
export const transactionFor = (limitsWaits = false): typeof withinLockLimit =>
  limitsWaits ? withinLockLimit : (em, work) => em.transactional(work)

const lockLimitOf = async (em: EntityManager): Promise<string> => {
  const { rows } = await queryable(em).query(`select current_setting('lock_timeout') as limit`, [])
  return limitRows.parse(rows)[0].limit
}

const limitRows = z.tuple([z.object({ limit: z.string() })])

/** Likewise, for whoever waits for another time; it has no values, so that it may go over with other statements. */
export const limitSql = (mostMs: number): string => `
  select set_config('lock_timeout', '${mostMs}', true)
  where current_setting('lock_timeout')::interval
    not between '${leastLockWaitMs} ms' and '${mostMs} ms'`
