import { Socket } from 'node:net'
import pg from 'pg'
import { missingRight } from '../../adapters/missing-right.ts'
import type { Queryable } from '../../adapters/queryable.ts'
import { OutboxError, reasonOf } from '../../errors.ts'
import { onAbort } from '../on-abort.ts'
import { within } from '../within.ts'
import { columnTypes } from './column-types.ts'

/**
 * The one session that a relay owns its lanes by. Reads and deletes go over it as well, so that losing it stops all
 * three at once. Every statement is a transaction of its own: an open one would keep the locks of a frozen process.
 */
export type ControlSession = {
  /** Runs one statement by itself; one with a name is prepared once. */
  query: (statement: Statement, values: unknown[]) => Promise<{ rows: unknown[]; rowCount: number | null }>
  /** Aborted when the session is over; its reason is an OutboxError `session_lost`. */
  lost: AbortSignal
  /**
   * Whether the session is known to be alive, and the locks with it. A process that was frozen finds out here, before it
   * publishes, that Postgres may have ended its session meanwhile.
   */
  fresh: () => boolean
  /** How long the statement that runs has waited for its answer, milliseconds; 0 while none does. */
  unansweredMs: () => number
  /** Asks Postgres for nothing, to hear whether the session is alive. */
  beat: () => Promise<void>
  /** Gives the session up as lost, for this reason: what was known by it does not hold any more. */
  giveUp: (reason: string) => void
  /** Ends the session, and with it frees its locks. */
  close: () => Promise<void>
}

export type Statement = { name?: string; text: string; mayTakeLong?: boolean }

/** For the connection, and for each of the two statements with which a session begins: they wait for nobody. */
const connectTimeoutMs = 10_000

/** One that does not come back in this time tells of a server that hangs. */
const queryTimeoutMs = 30_000

/**
 * The same for a lane's first read. It passes every deleted row of the lane that somebody's snapshot keeps, a million in a
 * second or so, and were it given up, so would the next one be.
 */
const longQueryTimeoutMs = 120_000

/** How long a session may take to say goodbye. A server that is gone never answers. */
const closeTimeoutMs = 1_000

/** After this long without a statement Postgres ends the session: the process is frozen, or its node is gone. */
export const sessionTimeoutMs = 8_000

/** How often Postgres looks, while a statement runs, whether whoever asked for it is still there, milliseconds. */
const lookMs = 1_000

/** A session that has nothing to say for this long says so. */
const beatMs = 2_000

const beatSql = { name: 'beat', text: 'select' }

/** A session that was answered within this time is alive for as long again: well inside what Postgres allows. */
const freshMs = 5_000

/**
 * Opens a session, unless the signal is aborted before it is there.
 *
 * @throws OutboxError `database_unavailable`, or `pooler_in_between` when the address is not Postgres' own.
 */
export const openControlSession = async (
  databaseUrl: string,
  applicationName: string,
  signal: AbortSignal = new AbortController().signal,
): Promise<ControlSession> => {
  const socket = new Socket()
  const client = new pg.Client({
    stream: () => socket,
    connectionString: databaseUrl,
    types: columnTypes,
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  })
  const lost = new AbortController()
  const lose = (cause: unknown) => {
    if (lost.signal.aborted) return
    lost.abort(new OutboxError('session_lost', `the control session ended: ${reasonOf(cause)}`, { cause }))
  }
  client.on('error', lose)
  client.on('end', () => lose('the connection was closed'))
  const close = async () => {
    lose('the relay closed it')
    // A server that does not answer must not keep the process alive.
    if (!(await within(closeTimeoutMs, client.end()))) socket.destroy()
  }
  let answeredMs = performance.now()
  /** When the statement that runs was sent. */
  let waitingSinceMs: number | null = null
  // One statement at a time, in the order in which they were given.
  let last: Promise<unknown> = Promise.resolve()
  const unwatch = onAbort(signal, () => socket.destroy())
  try {
    // A socket that was destroyed would connect all the same.
    signal.throwIfAborted()
    await client.connect()
    await expectDirect(client)
    await client.query(setUpSql)
  } catch (cause) {
    await close()
    throw cause instanceof OutboxError ? cause : new OutboxError('database_unavailable', reasonOf(cause), { cause })
  } finally {
    unwatch()
  }
  const run = async ({ name, text, mayTakeLong }: Statement, values: unknown[]) => {
    const config = { name, text, values, query_timeout: mayTakeLong ? longQueryTimeoutMs : queryTimeoutMs }
    if (lost.signal.aborted) throw lost.signal.reason
    const sentMs = performance.now()
    waitingSinceMs = sentMs
    try {
      const result = await client.query<Record<string, unknown>>(config)
      answeredMs = sentMs
      return result
    } catch (cause) {
      // Postgres answered, so the session lives, unless it said that it ends it (57P: a shutdown, a kill, a timeout).
      // No answer in time or a broken link end it as well, and one that takes no writes is worth nothing: the address
      // may lead elsewhere by now.
      const isStandby = takesNoWrites(cause)
      if (cause instanceof pg.DatabaseError && cause.code?.startsWith('57P') !== true && !isStandby) {
        throw missingRight('a relay', cause) ?? cause
      }
      lose(isStandby ? new Error(`${onStandby}: ${reasonOf(cause)}`, { cause }) : cause)
      void close()
      throw lost.signal.reason
    } finally {
      waitingSinceMs = null
    }
  }
  const query: ControlSession['query'] = (statement, values) => {
    const answer = last.then(() => run(statement, values))
    last = Promise.allSettled([answer])
    return answer
  }
  const beat = setInterval(() => {
    // However it ends, `lost` tells.
    if (performance.now() - answeredMs > beatMs) void Promise.allSettled([query(beatSql, [])])
  }, beatMs)
  lost.signal.addEventListener('abort', () => clearInterval(beat))
  return {
    lost: lost.signal,
    giveUp: (reason) => {
      lose(reason)
      void close()
    },
    close,
    beat: async () => {
      await query(beatSql, [])
    },
    unansweredMs: () => (waitingSinceMs === null ? 0 : performance.now() - waitingSinceMs),
    fresh: () => !lost.signal.aborted && performance.now() - answeredMs < freshMs,
    query,
  }
}

/** What Postgres says to a write in recovery, and where its storage or a setting allows none. */
export const takesNoWrites = (cause: unknown): boolean => cause instanceof pg.DatabaseError && cause.code === '25006'

const onStandby = 'the server takes no writes, as a standby does before it is promoted, and a relay needs the primary'

/** The session as the functions take it that people give a client. */
export const queryableOf = (session: ControlSession): Queryable => ({
  query: (text, values) => session.query({ text }, values),
})

/**
 * A pooler gives its clients process ids of its own making. Behind one that shares its sessions, a LISTEN and a session's
 * lock are another client's a moment later.
 */
const expectDirect = async (client: pg.Client): Promise<void> => {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const claimed: unknown = Reflect.get(client, 'processID')
  if (rows[0]?.pid === claimed) return
  throw new OutboxError(
    'pooler_in_between',
    'the address leads to a connection pooler, which keeps neither LISTEN nor session locks; a relay needs a direct ' +
      'connection to Postgres',
  )
}

/**
 * A role or a database may have limits for statements of people. The relay has its own, and a first read that has to pass
 * millions of deleted rows would be cancelled each time. Postgres 15 and 16 do not know the last one.
 */
const ownLimits = `'statement_timeout', 'lock_timeout', 'transaction_timeout'`

/**
 * What ends the session of a process that is frozen or unreachable, also when it was in the middle of something. One that
 * was closed in the middle of a statement would keep its locks to the end of that; only servers on Linux surely can look.
 *
 * And every read here follows an index in its order: on a table whose statistics are of when it was empty, Postgres would
 * sort all of it instead, for each step from key to key. What it has to sort all the same counts as very costly, and would
 * be compiled.
 */
const setUpSql = `
  select set_config('idle_session_timeout', '${sessionTimeoutMs}', false),
    set_config('idle_in_transaction_session_timeout', '${sessionTimeoutMs}', false),
    set_config('tcp_user_timeout', '${sessionTimeoutMs}', false),
    case when version() ~ '^PostgreSQL.*linux' then set_config('client_connection_check_interval', '${lookMs}', false) end,
    set_config('enable_seqscan', 'off', false), set_config('enable_bitmapscan', 'off', false),
    set_config('enable_sort', 'off', false), set_config('jit', 'off', false),
    set_config('bytea_output', 'hex', false), set_config('default_transaction_isolation', 'read committed', false),
    set_config('default_transaction_read_only', 'off', false),
    (select count(set_config(name, '0', false)) from pg_settings where name in (${ownLimits}))`
