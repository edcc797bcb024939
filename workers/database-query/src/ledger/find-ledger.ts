import { isTransient } from '@esteira/workflow'
import { type ClientBase, DatabaseError, type Pool } from 'pg'
import * as z from 'zod'
import type { Connections } from '../connections.ts'
import { DatabaseQueryError, type DatabaseQueryErrorCode, readOnlyNow } from '../errors.ts'
import { atLedger } from './at-ledger.ts'

/**
 * The ledger lies in the target's own database, so that "this job's statement ran" commits with the statement. A job
 * that comes again, after a crash between that commit and ours, finds its row, and what the statement gave. One that
 * somebody sends again has another revision, and runs its statement anew.
 */
const createSql = `create table if not exists esteira_applied (
  job_id uuid not null,
  revision int not null default 0,
  rows jsonb,
  applied_at timestamptz not null default now(),
  primary key (job_id, revision)
)`

/** Of a ledger from before there were revisions. Whoever comes second does it once more, and changes nothing. */
const alterSql = `alter table esteira_applied
  add column if not exists revision int not null default 0,
  drop constraint if exists esteira_applied_pkey,
  add primary key (job_id, revision)`

/** The ledgers that were found, or are being looked for, by this process. */
const looked = new WeakMap<Pool, Promise<string>>()

/**
 * The name of a database's ledger with its schema: a statement may change where names are looked up. It is looked for
 * once a process, made if it is not there, and altered if it is an old one.
 *
 * @throws DatabaseQueryError `read_only_now` while that cannot be done, `ledger_late` when it takes longer than a session
 * may, and `ledger_missing` or `ledger_outdated`, with the SQL to run, when this user may not do so.
 */
export const findLedger = async (connections: Connections, connection: string): Promise<string> => {
  const pool = connections.pool(connection)
  // All jobs of the connection wait for it, so it has not the time of the job that came first.
  const looking = looked.get(pool) ?? atLedger(connections, connection, { done: 'there' }, seeOrMakeLedger)
  looked.set(pool, looking)
  try {
    return await looking
  } catch (error) {
    // The next job looks again: the database may be back by then, or somebody has created the table.
    looked.delete(pool)
    throw error
  }
}

/** Has the next job look for the ledger again: it was dropped or moved, or a backup without it was restored. */
export const forgetLedger = (pool: Pool): void => {
  looked.delete(pool)
}

const seeOrMakeLedger = async (client: ClientBase): Promise<string> => {
  const there = await seeLedger(client)
  if (there?.hasRevisions === true) return there.name
  if (there === undefined) {
    await change(client, createSql, 'ledger_missing', 'has no table esteira_applied, and its user cannot create it')
  } else {
    await change(
      client,
      alterSql,
      'ledger_outdated',
      'has a table esteira_applied without revisions, and its user cannot alter it',
    )
  }
  return (await seeLedger(client))?.name ?? 'esteira_applied'
}

const change = async (client: ClientBase, sql: string, code: DatabaseQueryErrorCode, fault: string): Promise<void> => {
  try {
    // `if not exists` alone fails when two sessions create the table at once. Until the commit nobody else is at it.
    await client.query(`select pg_advisory_xact_lock(hashtext('esteira_applied')); ${sql}`)
  } catch (cause) {
    if (!(cause instanceof DatabaseError) || isTransient(cause)) throw cause
    if (cause.code === '25006') throw readOnlyNow(cause)
    throw new DatabaseQueryError(code, `this database ${fault} (${cause.message}); have it done with: ${sql}`, {
      cause,
    })
  }
}

const seeLedger = async (client: ClientBase): Promise<z.infer<typeof seenRows>[number] | undefined> => {
  const { rows } = await client.query(
    `select format('%I.esteira_applied', nspname) as name,
            exists (select from pg_attribute where attrelid = pg_class.oid and attname = 'revision') as "hasRevisions"
     from pg_class join pg_namespace on pg_namespace.oid = relnamespace
     where pg_class.oid = to_regclass('esteira_applied')`,
  )
  return seenRows.parse(rows)[0]
}

const seenRows = z.array(z.object({ name: z.string(), hasRevisions: z.boolean() }))
