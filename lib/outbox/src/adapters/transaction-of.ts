import { OutboxError } from '../errors.ts'
import { isRefusal } from './is-refusal.ts'
import { type EntityManagerLike, isEntityManager, queryable } from './mikro-orm.ts'
import { namingRights } from './missing-right.ts'
import type { Queryable } from './queryable.ts'

/** A lock that the caller of `transactionOf` would take anyway, or that holds nobody up. */
type Probe = 'outbox_message in row exclusive mode' | 'inbox in row exclusive mode' | 'pg_class in access share mode'

/**
 * The transaction that the caller is in, for a function of ours.
 *
 * @throws OutboxError `not_in_transaction` outside one; then, and from each statement of it, `right_missing`.
 */
export const transactionOf = async (
  tx: EntityManagerLike | Queryable,
  probe: Probe,
  caller: string,
): Promise<Queryable> => {
  const refuse = (cause?: unknown): OutboxError =>
    new OutboxError('not_in_transaction', `${caller} needs a transaction: begin one and ${caller} within it`, { cause })
  if (isEntityManager(tx)) {
    if (!tx.isInTransaction()) throw refuse()
    return namingRights(queryable(tx), caller)
  }
  const transaction = namingRights(tx, caller)
  try {
    // Nothing on a client tells whether a transaction is open, so Postgres is asked: it refuses this statement outside
    // a transaction block, also for a pool, where it would run on a connection of its own.
    await transaction.query(`lock table ${probe}`, [])
    return transaction
  } catch (cause) {
    if (isRefusal(cause, '25P01')) throw refuse(cause)
    throw cause
  }
}
