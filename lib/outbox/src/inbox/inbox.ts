import type { EntityManagerLike } from '../adapters/mikro-orm.ts'
import { expectQueryable, expectTransaction } from '../adapters/expect-queryable.ts'
import { namingRights } from '../adapters/missing-right.ts'
import type { Queryable } from '../adapters/queryable.ts'
import { rowsOf } from '../adapters/rows-of.ts'
import { transactionOf } from '../adapters/transaction-of.ts'
import { OutboxError } from '../errors.ts'
import { nameOfKind } from '../values/name-of-kind.ts'
import { expectMs, expectOptions, expectWhole, faultOfName, largestInteger, optionFault } from '../option-checks.ts'
import { readColumns } from '../read-columns.ts'

/**
 * Notes in the caller's transaction that a consumer received a message. True the first time: then the caller does its
 * work in the same transaction, and a message that is delivered again finds the note and false. Two deliveries at the same
 * time wait for each other, and the second one is first after all if the first is rolled back.
 *
 * `tx` is what `enqueue` takes, `consumer` up to 255 characters, `messageId` the AMQP property of the delivery.
 *
 * @throws OutboxError `not_in_transaction` outside a transaction; `message_invalid` for a `messageId` that is no UUID, as
 * other publishers' may be; `option_invalid`, `right_missing`.
 */
export const receive = async (
  tx: EntityManagerLike | Queryable,
  delivery: { consumer: string; messageId: string },
): Promise<boolean> => {
  expectTransaction(tx)
  expectOptions('receive', ['consumer', 'messageId'], delivery)
  const { consumer, messageId } = delivery
  const wrong = faultOfName(consumer, longestConsumer)
  if (wrong !== null) throw optionFault('consumer', wrong)
  if (typeof messageId !== 'string' || !uuid.test(messageId)) {
    const got = typeof messageId === 'string' ? JSON.stringify(messageId) : nameOfKind(messageId)
    throw new OutboxError('message_invalid', `messageId: expected a UUID, got ${got}`)
  }
  const transaction = await transactionOf(tx, 'inbox in row exclusive mode', 'receive')
  const rows = await rowsOf(transaction, noteSql, [consumer, messageId])
  return rows.length === 1
}

/**
 * Forgets what was received longer ago than this, at most `limit` notes, and says how many. Older than any delivery that
 * may still come: what is forgotten and delivered again is taken for new.
 *
 * Locks: the notes it deletes, passing those that another call has.
 *
 * @throws OutboxError `option_invalid`, `right_missing`.
 */
export const pruneInbox = async (
  db: Queryable,
  options: { olderThanMs: number; limit?: number | undefined },
): Promise<number> => {
  expectQueryable(db)
  expectOptions('pruneInbox', ['olderThanMs', 'limit'], options)
  const { olderThanMs, limit = 10_000 } = options
  expectMs('olderThanMs', olderThanMs, longestMs)
  expectWhole('limit', limit, 1, largestInteger)
  const rows = await rowsOf(namingRights(db, 'pruneInbox'), pruneSql, [olderThanMs, limit])
  return readColumns(rows[0], 'inbox', { pruned: 'number' }).pruned
}

/** As the table's check has it. */
const longestConsumer = 255

/** Of whatever version, and with as many dashes as Postgres asks for: not all publishers are ours. */
const uuid = /^[\da-f]{8}(-?[\da-f]{4}){3}-?[\da-f]{12}$/i

/** A thousand years, which Postgres can still go back. */
const longestMs = 1000 * 366 * 24 * 60 * 60 * 1000

const noteSql = `
  insert into inbox (consumer, message_id) values ($1, $2::uuid)
  on conflict do nothing
  returning consumer`

// Counted by Postgres: not every library says how many rows a statement wrote.
const pruneSql = `
  with gone as (
    delete from inbox where ctid = any (array(
      select ctid from inbox
      where received_at < now() - $1::float8 * interval '1 millisecond'
      order by received_at
      limit $2
      for update skip locked
    ))
    returning 1
  )
  select count(*)::integer as pruned from gone`
