import { unlessAborted } from '@esteira/service'
import type { Context } from '@opentelemetry/api'
import type { PoolClient } from 'pg'
import type { Connections } from './connections.ts'
import type { Rows } from './config.ts'
import { DatabaseQueryError } from './errors.ts'
import { type Applied, claimInLedger, type Entry, isLedgerGone, keepRows } from './ledger/claim.ts'
import { toParameters } from './parameters.ts'
import type { ResultLimit } from './result-limit.ts'
import { looksAt, runAll, type RunHooks } from './run-all.ts'
import { inSession, pooledNames, pooledSql, type Session } from './session.ts'
import { sendTogether } from './send-together.ts'
import { underStatement } from './under-statement.ts'

/** What jobs run: the text never contains data. */
export type Statement = {
  /** The name of its database. */
  connection: string
  sql: string
  /** What its rows are needed for. */
  rows: Rows
  /** How many rows it may give; null for any number. */
  maxRows: number | null
}

/** A statement that may write. */
export type WritingStatement = Statement & {
  /** What its jobs wait for: the commit on disk, or the commit in the server's memory. */
  durability: 'durable' | 'applied'
  /** How large its rows may be; null where none goes on. */
  limit: ResultLimit | null
  /** Whether the ledger keeps it from running again for a job that comes again. */
  once: boolean
  /** Whether runs of several jobs may be in one transaction. What a function or a trigger does is seen before the commit. */
  mayShare: boolean
  /** Whether runs of several jobs may wait for each other's rows: those transactions do not go side by side. */
  mayMeet: boolean
}

/** One job's run of a statement. */
export type Call = Entry & {
  /** Tells its entry from others. */
  key: string
  /** Bound to `$1`, `$2` ... */
  values: unknown[]
  /** The statement is cancelled in the server when it is aborted. */
  signal: AbortSignal
  /** Where this is in the job's trace. */
  place: Context
  /** Refuses what the engine would refuse to pass on, where nothing is committed yet. */
  checkResult: (rows: readonly unknown[]) => void
}

/**
 * What became of a group: it has committed, with the rows that each job's run gave, null if it can give none, and the
 * milliseconds that all took; or nothing is written. `letGo` frees the memory that the rows of all have, when nobody needs
 * them any more; `at` is the run that was refused, if it was one of them.
 */
export type Executed =
  | { kind: 'committed'; rows: readonly (readonly unknown[] | null)[]; ms: number; letGo: () => void }
  | { kind: 'failed'; at: number | null; error: unknown }

/** The time of a transaction, from its session on and without its commit; the signal is aborted when it is over. */
export type Limit = { signal: AbortSignal; begin: () => void; end: () => void }

/**
 * Runs a statement that may write for a group of jobs, all in one transaction, in their order, and once for each job
 * however often that comes, unless somebody has sent it again. The jobs, or their revisions, differ.
 */
export const executeOnce = async (
  connections: Connections,
  statement: WritingStatement,
  calls: readonly Call[],
  limit: Limit,
): Promise<Executed> => {
  const executed = await executeGroup(connections, statement, calls, limit)
  if (executed.kind === 'committed' || !isLedgerGone(executed.error)) return executed
  connections.forgetLedger(statement.connection)
  return executeGroup(connections, statement, calls, limit)
}

const executeGroup = async (
  connections: Connections,
  statement: WritingStatement,
  calls: readonly Call[],
  limit: Limit,
): Promise<Executed> => {
  let at: number | null = null
  const memory = connections.results.open()
  /** Aborted with why, when a run gives more than it may: it would go on until its last row. */
  const tooMuch = new AbortController()
  try {
    const ledger = statement.once ? await unlessAborted(connections.ledger(statement.connection), limit.signal) : null
    const signal = AbortSignal.any([limit.signal, tooMuch.signal])
    const how = { begin: begin[statement.durability], writes: true, signal }
    const done = await inSession(connections, statement.connection, how, async (session) => {
      limit.begin()
      const begunMs = performance.now()
      const applied: Applied = ledger === null ? new Map() : await claimInLedger(session.client, ledger, calls, memory)
      const fresh = applied.size === 0 ? calls : calls.filter((call) => !applied.has(call.key))
      const values = await toParameters(
        session.client,
        statement.sql,
        fresh.map((call) => call.values),
      )
      const hooks: RunHooks = {
        lookOf: looksAt(statement, memory),
        stop: (reason) => tooMuch.abort(reason),
        onRefused: (call) => {
          at ??= calls.indexOf(call)
        },
      }
      const [running, checking] = sendTogether(session.client, () => [
        runAll(session.client, statement, fresh, values, hooks),
        Promise.all([checkDeferred(session), calls.length > 1 ? refuseTraces(session) : undefined]),
      ])
      const [ran, checked] = await Promise.allSettled([running, checking])
      // Where a run is refused the check is as well, and only the run says why.
      if (ran.status === 'rejected') throw ran.reason
      if (checked.status === 'rejected') throw checked.reason
      const given = ran.value
      const ms = performance.now() - begunMs
      if (ledger !== null && statement.rows !== 'unwanted') await keepGiven(session.client, ledger, fresh, given)
      // A commit that waits for a standby is not done when that wait is cancelled, though the server says it is.
      limit.end()
      return { rows: applied.size === 0 ? given : besideApplied(calls, given, applied), ms }
    })
    return { kind: 'committed', ...done, letGo: memory.close }
  } catch (error) {
    memory.close()
    return { kind: 'failed', at, error }
  }
}

/** What each call gave: now, or before. Those that were run now are in their order. */
const besideApplied = (
  calls: readonly Call[],
  given: readonly (unknown[] | null)[],
  applied: Applied,
): (unknown[] | null)[] => {
  const now = given.values()
  return calls.map((call) => {
    const before = applied.get(call.key)
    return before === undefined ? (now.next().value ?? null) : before
  })
}

/** Of a statement that can give no rows there is nothing to keep. */
const keepGiven = async (
  client: PoolClient,
  ledger: string,
  calls: readonly Call[],
  given: readonly (unknown[] | null)[],
): Promise<void> => {
  const kept = calls.flatMap(({ jobId, revision }, index) => {
    const rows = given[index] ?? null
    return rows === null ? [] : [{ jobId, revision, rows }]
  })
  if (kept.length > 0) await keepRows(client, ledger, kept)
}

/** A server may be set to answer before a commit is on disk; `durable` does not take that for an answer. */
const begin = {
  durable: `begin; select set_config('synchronous_commit', 'on', true) where current_setting('synchronous_commit') = 'off'`,
  applied: 'begin; set local synchronous_commit = off',
}

/** What waits for the commit (deferred constraints and their triggers) runs before it: there it can still be cancelled. */
const checkDeferred = async ({ client }: Session): Promise<void> => {
  await underStatement(client.query('set constraints all immediate'))
}

/**
 * Throws when a run of the group has changed the session for the next ones: nothing of the group is committed then. The text
 * of the statement does not tell it; a trigger or a function may have done it.
 *
 * @throws DatabaseQueryError `session_changed`
 */
const refuseTraces = async ({ client, role, pooled }: Session): Promise<void> => {
  const { rowCount } = await client.query(tracesSql, [role, pooled])
  if (rowCount === 0) return
  throw new DatabaseQueryError('session_changed', 'config.sql changes its session, so no other may run in it')
}

const tracesSql = `
  select where current_user <> $1 or ${pooledSql} <> $2
  union all select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()
  union all select from pg_class where relnamespace = pg_my_temp_schema()
  union all select from pg_settings where source = 'session'
    and name not in ('synchronous_commit', 'client_connection_check_interval', 'idle_in_transaction_session_timeout',
                     'tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count',
                     ${pooledNames.map((name) => `'${name}'`).join(', ')})
    and (name, setting) not in (('IntervalStyle', 'postgres'), ('bytea_output', 'hex'), ('extra_float_digits', '1'))
    and not (name = 'DateStyle' and setting like 'ISO%')
  limit 1`
