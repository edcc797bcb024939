import type { Pool, PoolClient } from 'pg'
import { DatabaseQueryError } from './errors.ts'
import { claimInLedger, ensureLedger, keepRows } from './ledger.ts'

/** A statement of one job: the text never contains data, the values are bound to `$1`, `$2` ... */
export type Statement = {
  sql: string
  values: unknown[]
  jobId: string
  /** Whether its rows are the job's output, so that one which can give none is a mistake. */
  rowsWanted: boolean
}

/** Runs a statement that only reads; the server refuses it if it would write. Resolves to its rows. */
export const readRows = (pool: Pool, statement: Statement): Promise<unknown[]> =>
  inTransaction(pool, 'begin read only', (client) => runAlone(client, statement))

/**
 * Runs a statement that may write, once for its job however often the job comes. Resolves to the rows that it gave,
 * when it has committed: on disk for `durable`, in the server's memory for `applied`.
 */
export const executeOnce = async (
  pool: Pool,
  statement: Statement,
  durability: 'durable' | 'applied',
): Promise<unknown[]> => {
  await ensureLedger(pool)
  return inTransaction(pool, begin[durability], async (client) => {
    const claimed = await claimInLedger(client, statement.jobId)
    if (claimed.kind === 'applied') return claimed.rows
    const rows = await runAlone(client, statement)
    if (rows.length > 0) await keepRows(client, statement.jobId, rows)
    return rows
  })
}

/**
 * Without values pg would use the protocol that takes several statements at once, and one of them could end the
 * transaction: the next would write in spite of `read only`, or beside the ledger.
 */
const runAlone = async (client: PoolClient, { sql, values, rowsWanted }: Statement): Promise<unknown[]> => {
  const alone = { text: sql, values, queryMode: 'extended' }
  const { rows, fields } = await client.query<object>(alone)
  // Thrown before the commit: a step that is put right later finds nothing half done.
  if (rowsWanted && fields.length === 0) {
    throw new DatabaseQueryError(
      'config_invalid',
      'config.sql gives no rows that could be passed on: expected "returning" or a select, or outputType null',
    )
  }
  return rows
}

/** A server may be set to answer before a commit is on disk; `durable` does not take that for an answer. */
const begin = {
  durable: `begin; select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off'`,
  applied: 'begin; set local synchronous_commit = off',
}

const inTransaction = async <T>(pool: Pool, beginSql: string, work: (client: PoolClient) => Promise<T>): Promise<T> => {
  const client = await pool.connect()
  let failure: Error | undefined
  try {
    await client.query(beginSql)
    const result = await work(client)
    await client.query('commit')
    return result
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error))
    throw error
  } finally {
    // A session in an unknown state is closed, which rolls back what it had open, instead of going back to the pool.
    client.release(failure)
  }
}
