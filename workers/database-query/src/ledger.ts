import { DatabaseError, type Pool, type PoolClient } from 'pg'
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

/** Databases whose ledger was seen, or is being looked for, by this process. */
const looked = new WeakMap<Pool, Promise<void>>()

/**
 * Makes sure, once a process, that the ledger is there.
 *
 * @throws DatabaseQueryError `ledger_missing` with the SQL to run, when this user may not create it.
 */
export const ensureLedger = async (pool: Pool): Promise<void> => {
  const looking = looked.get(pool) ?? createLedger(pool)
  looked.set(pool, looking)
  try {
    await looking
  } catch (error) {
    // The next job looks again: the database may be back by then, or somebody has created the table.
    looked.delete(pool)
    throw error
  }
}

const createLedger = async (pool: Pool): Promise<void> => {
  const { rows } = await pool.query(`select to_regclass('esteira_applied') is not null as there`)
  if (z.array(z.object({ there: z.boolean() })).parse(rows)[0]?.there) return
  try {
    // `if not exists` alone fails when two sessions create the table at once. Both statements are one transaction.
    await pool.query(`select pg_advisory_xact_lock(hashtext('esteira_applied')); ${ledgerSql}`)
  } catch (cause) {
    if (!(cause instanceof DatabaseError) || cause.code !== '42501') throw cause
    throw new DatabaseQueryError(
      'ledger_missing',
      `this database has no table esteira_applied and its user may not create it; have it created with: ${ledgerSql}`,
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
export const claimInLedger = async (client: PoolClient, jobId: string): Promise<Claimed> => {
  const inserted = await client.query(
    `insert into esteira_applied (job_id) values ($1) on conflict (job_id) do nothing`,
    [jobId],
  )
  if (inserted.rowCount === 1) return { kind: 'new' }
  const { rows } = await client.query(`select rows from esteira_applied where job_id = $1`, [jobId])
  return { kind: 'applied', rows: ledgerRows.parse(rows)[0]?.rows ?? [] }
}

/** Keeps what the statement gave, so that a job that comes again passes the same on. */
export const keepRows = async (client: PoolClient, jobId: string, rows: readonly unknown[]): Promise<void> => {
  await client.query(`update esteira_applied set rows = $2::jsonb where job_id = $1`, [jobId, JSON.stringify(rows)])
}

const ledgerRows = z.array(z.object({ rows: z.array(z.unknown()).nullable() }))
