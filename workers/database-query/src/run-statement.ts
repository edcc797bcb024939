import { reasonOf } from '@esteira/service'
import type { Pool, PoolClient, QueryResult } from 'pg'
import { isSessionLost } from './away.ts'
import { DatabaseQueryError } from './errors.ts'
import { claimInLedger, findLedger, keepRows } from './ledger.ts'
import { toParameters } from './parameters.ts'
import { inStatementSpan } from './statement-span.ts'

/** A statement of one job: the text never contains data, the values are bound to `$1`, `$2` ... */
export type Statement = {
  /** The name of its database. */
  connection: string
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
  const ledger = await findLedger(pool)
  return inTransaction(pool, begin[durability], async (client) => {
    const claimed = await claimInLedger(client, ledger, statement.jobId)
    if (claimed.kind === 'applied') return claimed.rows
    const rows = await runAlone(client, statement)
    if (rows.length > 0) await keepRows(client, ledger, statement.jobId, rows)
    return rows
  })
}

/**
 * Without values pg would use the protocol that takes several statements at once, and one of them could end the
 * transaction: the next would write in spite of `read only`, or beside the ledger.
 */
const runAlone = async (client: PoolClient, statement: Statement): Promise<unknown[]> => {
  const { sql, values, rowsWanted } = statement
  const alone = { text: sql, values: await toParameters(client, sql, values), queryMode: 'extended' }
  const { rows, fields } = await underStatement(inStatementSpan(statement, () => client.query<object>(alone)))
  // Thrown before the commit: a step that is put right later finds nothing half done.
  if (rowsWanted && fields.length === 0) {
    throw new DatabaseQueryError(
      'config_invalid',
      'config.sql gives no rows that could be passed on: expected "returning" or a select, or outputType null',
    )
  }
  return rows
}

/** A session that is lost under the statement may have been ended by it, and would be again, each time it comes. */
const underStatement = async (running: Promise<QueryResult<object>>): Promise<QueryResult<object>> => {
  try {
    return await running
  } catch (error) {
    if (!isSessionLost(error)) throw error
    throw new DatabaseQueryError('session_lost', `the session was lost under config.sql: ${reasonOf(error)}`, {
      cause: error,
    })
  }
}

/** A server may be set to answer before a commit is on disk; `durable` does not take that for an answer. */
const begin = {
  durable: `begin; select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off'`,
  applied: 'begin; set local synchronous_commit = off',
}

const inTransaction = async <T>(pool: Pool, beginSql: string, work: (client: PoolClient) => Promise<T>): Promise<T> => {
  const client = await pool.connect()
  try {
    await client.query(beginSql)
    const result = await work(client)
    await client.query('commit')
    await giveBack(client)
    return result
  } catch (error) {
    // A session in an unknown state is closed, which rolls back what it had open, instead of going back to the pool.
    client.release(true)
    throw error
  }
}

/**
 * What a statement set for its session (`set search_path`, a lock, a temporary table) must not meet the next job's, of
 * another workflow perhaps. The reset takes a tenth of a millisecond and the way to the server.
 */
const giveBack = async (client: PoolClient): Promise<void> => {
  try {
    await client.query('discard all')
    client.release()
  } catch (error) {
    client.release(error instanceof Error ? error : true)
  }
}
