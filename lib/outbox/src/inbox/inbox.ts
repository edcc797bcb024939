import type { EntityManagerLike } from '../adapters/mikro-orm.ts'
import type { Queryable } from '../adapters/queryable.ts'
import { transactionOf } from '../adapters/transaction-of.ts'

/**
 * Notes in the caller's transaction that a consumer received a message. True the first time: then the caller does its
 * work in the same transaction, and a message that is delivered again finds the note and false. Two deliveries at the same
 * time wait for each other, and the second one is first after all if the first is rolled back.
 *
 * `tx` is what `enqueue` takes, `consumer` up to 255 characters, `messageId` the AMQP property of the delivery.
 *
 * @throws OutboxError `not_in_transaction` outside a transaction.
 */
export const receive = async (
  tx: EntityManagerLike | Queryable,
  { consumer, messageId }: { consumer: string; messageId: string },
): Promise<boolean> => {
  const transaction = await transactionOf(tx, 'inbox in row exclusive mode', 'receive')
  const { rows } = await transaction.query(noteSql, [consumer, messageId])
  return rows.length === 1
}

/**
 * Forgets what was received longer ago than this, at most `limit` notes, and says how many. Older than any delivery that
 * may still come: what is forgotten and delivered again is taken for new.
 *
 * Locks: the notes it deletes, passing those that another call has.
 */
export const pruneInbox = async (
  db: Queryable,
  { olderThanMs, limit = 10_000 }: { olderThanMs: number; limit?: number },
): Promise<number> => {
  const { rowCount } = await db.query(pruneSql, [olderThanMs, limit])
  return rowCount ?? 0
}

const noteSql = `
  insert into inbox (consumer, message_id) values ($1, $2::uuid)
  on conflict do nothing
  returning consumer`

const pruneSql = `
  delete from inbox where ctid = any (array(
    select ctid from inbox
    where received_at < now() - $1::float8 * interval '1 millisecond'
    order by received_at
    limit $2
    for update skip locked
  ))`
