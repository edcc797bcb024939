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

/** Whether the job's statement is still to be run; if not, the rows that it gave. */
export type Claimed = { kind: 'new' } | { kind: 'applied'; rows: unknown[] }

/**
 * Puts the job into the ledger, in the transaction of its statement. A second delivery of the same job waits here until
 * the first has committed or given up.
 */
export const claimInLedger = async (client: PoolClient, ledger: string, jobId: string): Promise<Claimed> => {
  const inserted = await onLedger(
    client,
    `insert into ${ledger} (job_id) values ($1) on conflict (job_id) do nothing`,
    [jobId],
  )
  if (inserted.rowCount === 1) return { kind: 'new' }
  const { rows } = await onLedger(client, `select rows from ${ledger} where job_id = $1`, [jobId])
  return { kind: 'applied', rows: ledgerRows.parse(rows)[0]?.rows ?? [] }
}

/** Keeps what the statement gave, so that a job that comes again passes the same on. */
export const keepRows = async (
  client: PoolClient,
  ledger: string,
  jobId: string,
  rows: readonly unknown[],
): Promise<void> => {
  const values = [jobId, JSON.stringify(rows)]
  await onLedger(client, `update ${ledger} set rows = $2::jsonb where job_id = $1`, values)
}

const ledgerRows = z.array(z.object({ rows: z.array(z.unknown()).nullable() }))
