import { expectTransaction } from '../adapters/expect-queryable.ts'
import type { EntityManagerLike } from '../adapters/mikro-orm.ts'
import type { Queryable } from '../adapters/queryable.ts'
import { rowsOf } from '../adapters/rows-of.ts'
import { transactionOf } from '../adapters/transaction-of.ts'
import { OutboxError, reasonOf } from '../errors.ts'
import { readColumns } from '../read-columns.ts'
import { migrations } from './migrations.ts'
import { otherOutboxSql, saysOtherOutbox } from './other-outbox.ts'

/**
 * Runs in the caller's transaction the migrations that the database does not have yet, and says their names. Of several
 * callers one migrates and the others wait for it and find it done. `tx` is what `enqueue` takes.
 *
 * Locks: `outbox migrations`, until the transaction ends; a migration says what else it locks.
 *
 * @throws OutboxError `not_in_transaction` outside a transaction; `migration_failed` naming the migration, or the schema of
 * the outbox that this database has already; `option_invalid`.
 */
export const migrate = async (tx: EntityManagerLike | Queryable): Promise<string[]> => {
  expectTransaction(tx)
  const transaction = await transactionOf(tx, 'pg_class in access share mode', 'migrate')
  await transaction.query(`select pg_advisory_xact_lock(hashtextextended('outbox migrations', 0))::text`, [])
  await expectNoOther(transaction)
  const applied: string[] = []
  for (const { name, sql } of migrations) {
    if (await isApplied(transaction, name)) continue
    try {
      await transaction.query(sql, [])
    } catch (cause) {
      throw new OutboxError('migration_failed', `${name}: ${reasonOf(cause)}`, { cause })
    }
    applied.push(name)
  }
  return applied
}

const expectNoOther = async (transaction: Queryable): Promise<void> => {
  const rows = await rowsOf(transaction, otherOutboxSql, [])
  if (rows.length === 0) return
  const { schema } = readColumns(rows[0], 'pg_class', { schema: 'string' })
  throw new OutboxError('migration_failed', saysOtherOutbox(schema))
}

const isApplied = async (transaction: Queryable, name: string): Promise<boolean> => {
  // Before the first migration there is no table to ask.
  const tables = await rowsOf(transaction, `select oid from pg_class where oid = to_regclass('outbox_migration')`, [])
  if (tables.length === 0) return false
  const rows = await rowsOf(transaction, 'select name from outbox_migration where name = $1', [name])
  return rows.length === 1
}
