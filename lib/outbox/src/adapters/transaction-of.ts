import { OutboxError } from '../errors.ts'
import { type EntityManagerLike, queryable } from './mikro-orm.ts'
import type { Queryable } from './queryable.ts'

/**
 * The transaction that the caller is in, for a function of ours that writes to `table`.
 *
 * @throws OutboxError `not_in_transaction` outside one.
 */
export const transactionOf = async (
  tx: EntityManagerLike | Queryable,
  table: 'outbox_message' | 'inbox',
  caller: string,
): Promise<Queryable> => {
  const refuse = (cause?: Error): OutboxError =>
    new OutboxError('not_in_transaction', `${caller} needs a transaction: begin one and ${caller} within it`, { cause })
  if ('getKysely' in tx) {
    if (!tx.isInTransaction()) throw refuse()
    return queryable(tx)
  }
  try {
    // Nothing on a client tells whether a transaction is open, so Postgres is asked: it refuses this statement outside
    // a transaction block, also for a pool, where it would run on a connection of its own. It costs nothing that the
    // insert would not cost, since that takes the same lock.
    await tx.query(`lock table ${table} in row exclusive mode`, [])
    return tx
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === '25P01') throw refuse(cause)
    throw cause
  }
}
