import { isTransient } from '@esteira/workflow'
import { DatabaseError, type Pool, type PoolClient, type QueryResult } from 'pg'
import * as z from 'zod'
import { DatabaseQueryError } from './errors.ts'

/**
 * The ledger lies in the target's own database, so that "this job's statement ran" commits with the statement. A job
 * that comes again, after a crash between that commit and ours, finds its row, and what the statement gave.
 */
const ledgerSql = `create table if not exists esteira_applied (
  job_id uuid primary key,
  rows jsonb,
  applied_at timestamptz not null default now()
)`

/** The ledgers that were found, or are being looked for, by this process. */
const looked = new WeakMap<Pool, Promise<string>>()

/**
 * The name of the database's ledger with its schema: a statement may change where names are looked up. It is looked for
 * once a process, and made if it is not there.
 *
 * @throws DatabaseQueryError `ledger_missing` with the SQL to run, when this user may not create it.
 */
export const findLedger = async (pool: Pool): Promise<string> => {
  const looking = looked.get(pool) ?? lookForLedger(pool)
  looked.set(pool, looking)
  try {
    return await looking
  } catch (error) {
    // The next job looks again: the database may be back by then, or somebody has created the table.
    looked.delete(pool)
    throw error
  }
}

const lookForLedger = async (pool: Pool): Promise<string> => {
  const there = await nameOfLedger(pool)
  if (there !== undefined) return there
  try {
    // `if not exists` alone fails when two sessions create the table at once. Both statements are one transaction.
    await pool.query(`select pg_advisory_xact_lock(hashtext('esteira_applied')); ${ledgerSql}`)
  } catch (cause) {
    if (!(cause instanceof DatabaseError) || isTransient(cause)) throw cause
    throw new DatabaseQueryError(
      'ledger_missing',
      `this database has no table esteira_applied, and its user cannot create it (${cause.message}); have it created with: ${ledgerSql}`,
      { cause },
    )
  }
  return (await nameOfLedger(pool)) ?? 'esteira_applied'
}

const nameOfLedger = async (pool: Pool): Promise<string | undefined> => {
  const { rows } = await pool.query(
    `select format('%I.esteira_applied', nspname) as name
     from pg_class join pg_namespace on pg_namespace.oid = relnamespace
     where pg_class.oid = to_regclass('esteira_applied')`,
  )
  return z.array(z.object({ name: z.string() })).parse(rows)[0]?.name
}

/** A statement on the ledger; what the server has against it is not the fault of the step's SQL. */
const onLedger = async (client: PoolClient, sql: string, values: readonly unknown[]): Promise<QueryResult> => {
  try {
    return await client.query(sql, [...values])
  } catch (cause) {
    if (!(cause instanceof DatabaseError) || isTransient(cause)) throw cause
    throw new DatabaseQueryError(
      'ledger_refused',
      `the ledger esteira_applied of config.connection cannot be used: ${cause.message} (SQLSTATE ${cause.code}); ` +
        'expected a table that its user may select from, insert into and update',
      { cause },
    )
  }
}

/** The jobs of a group whose statement was applied before, each with the rows that it gave. */
export type Applied = ReadonlyMap<string, unknown[]>

/**
 * Puts the jobs of a group into the ledger, in the transaction of their statements; gives those that are there. A second
 * delivery of a job waits here until the first has committed or given up. In the order of their ids, so that two groups
 * that share jobs do not wait for each other.
 */
export const claimInLedger = async (
  client: PoolClient,
  ledger: string,
  jobIds: readonly string[],
): Promise<Applied> => {
  const inserted = await onLedger(
    client,
    `insert into ${ledger} (job_id) select id from unnest($1::uuid[]) as id order by id
     on conflict (job_id) do nothing returning job_id as id`,
    [jobIds],
  )
  if (inserted.rowCount === jobIds.length) return new Map()
  const claimed = new Set(claimedRows.parse(inserted.rows).map(({ id }) => id))
  const { rows } = await onLedger(client, `select job_id as id, rows from ${ledger} where job_id = any ($1::uuid[])`, [
    jobIds.filter((id) => !claimed.has(id)),
  ])
  return new Map(appliedRows.parse(rows).map((row) => [row.id, row.rows ?? []]))
}

/** Keeps what statements gave, by their jobs, so that a job that comes again passes the same on. */
export const keepRows = async (client: PoolClient, ledger: string, given: Applied): Promise<void> => {
  const kept = [...given].map(([id, rows]) => ({ id, rows }))
  await onLedger(
    client,
    `update ${ledger} applied set rows = given.rows
     from jsonb_to_recordset($1::jsonb) as given(id uuid, rows jsonb) where applied.job_id = given.id`,
    [JSON.stringify(kept)],
  )
}

const claimedRows = z.array(z.object({ id: z.string() }))
const appliedRows = z.array(z.object({ id: z.string(), rows: z.array(z.unknown()).nullable() }))
