import { setTimeout as pause } from 'node:timers/promises'
import { reasonOf, unlessAborted } from '@esteira/service'
import type { Pool, PoolClient } from 'pg'
import * as z from 'zod'
import { isSessionLost } from './away.ts'
import type { Connections } from './connections.ts'
import { outcomeUnknown, readOnlyNow } from './errors.ts'
import { sendTogether } from './send-together.ts'

/** A session of the target, and what it had when its transaction began: its role, and what a pooler may have set. */
export type Session = { client: PoolClient; role: string; pooled: string }

/**
 * What PgBouncer sets for each client in whichever session it gives it, as one text: it looks like what a statement has
 * set. DateStyle, which is one of them, is written in one way here anyway.
 */
export const pooledNames = ['application_name', 'client_encoding', 'standard_conforming_strings', 'TimeZone'] as const

export const pooledSql = `concat_ws(' ', ${pooledNames.map((name) => `current_setting('${name}')`).join(', ')})`

/** A session that is to be given back, by one of these. */
type OpenSession = Session & {
  /**
   * @throws what went wrong, `outcome_unknown` where a session that may have written is lost under it, or the signal's
   * reason when it is aborted before that.
   */
  commit: () => Promise<void>
  /** Closes a session in an unknown state, which rolls back what it had open. It does nothing behind a commit. */
  abandon: () => Promise<void>
}

/**
 * How a transaction begins, and what ends it before its time. `isStream`: it may stay open for long, milliseconds `mostMs`
 * if it has so many: then the signal is aborted, and the server ends what a worker that is frozen does not.
 */
type How = { begin: string; writes: boolean; signal: AbortSignal; isStream?: boolean; mostMs?: number }

/**
 * Does work in a transaction of a session of its own. When the signal is aborted the server is told to cancel what it is
 * at; and where that does not help, as the server does not answer any more, the link is given up.
 *
 * @throws what went wrong, or the signal's reason; then nothing is written, unless that is `outcome_unknown`.
 */
export const inSession = async <T>(
  connections: Connections,
  connection: string,
  how: How,
  work: (session: Session) => Promise<T>,
): Promise<T> => {
  const session = await openSession(connections, connection, how)
  try {
    const result = await work(session)
    await session.commit()
    return result
  } catch (error) {
    await session.abandon()
    how.signal.throwIfAborted()
    throw error
  }
}

/**
 * Begins a transaction in a session of its own; when the signal is aborted the server is told to cancel what it is at.
 *
 * @throws what went wrong, `read_only_now` where it is to write and cannot, or the signal's reason.
 */
export const openSession = async (
  connections: Connections,
  connection: string,
  { begin, writes, signal, isStream = false, mostMs }: How,
): Promise<OpenSession> => {
  const client = await connect(connections.pool(connection, isStream ? 'streams' : 'statements'), signal)
  let stopCancelling = notBegun
  let isOver = false
  const abandon = async (): Promise<void> => {
    if (isOver) return
    isOver = true
    await stopCancelling()
    client.release(true)
  }
  // What is under way in the session fails then.
  const giveUp = () => client.connection.stream.destroy()
  try {
    signal.throwIfAborted()
    const { processID, secretKey } = client
    stopCancelling = cancelOnAbort(signal, {
      cancel: async () => {
        if (processID !== null && secretKey !== null) await connections.cancel(connection, { processID, secretKey })
      },
      giveUp,
    })
    // The first that goes over a link which may have been lost without a word since it was last used.
    const deadline = setTimeout(giveUp, connections.waitMs)
    const whoAsked = whoSql(isStream ? null : connections.silentMs, mostMs)
    const opening = sendTogether(client, () => [client.query(begin), client.query(whoAsked)] as const)
    const [, { rows }] = await Promise.all(opening).finally(() => clearTimeout(deadline))
    const [{ role, pooled, isReadOnly }] = who.parse(rows)
    // The session is closed with it: another one may lead to the server that takes writes by then.
    if (writes && isReadOnly) throw readOnlyNow()
    return {
      client,
      role,
      pooled,
      commit: async () => {
        signal.throwIfAborted()
        // A signal does not reach into it, so it has a time of its own; what is sent behind it has the same.
        let isLate = false
        const commitDeadline = setTimeout(() => {
          isLate = true
          giveUp()
        }, connections.waitMs)
        const [committed, cleaned] = sendTogether(client, () => [client.query('commit'), clean(client)] as const)
        const cleaning = cleaned.finally(() => clearTimeout(commitDeadline))
        try {
          await committed
        } catch (error) {
          if (!writes || !isSessionLost(error)) throw error
          const reason = isLate ? `no answer within ${connections.waitMs / 1_000} s` : reasonOf(error)
          throw outcomeUnknown(`the session was lost under the commit (${reason})`, error)
        }
        isOver = true
        const isCancelled = await stopCancelling()
        // Nobody waits for that but the next one to use the session.
        void cleaning.then((isClean) => client.release(isCancelled || !isClean))
      },
      abandon,
    }
  } catch (error) {
    await abandon()
    signal.throwIfAborted()
    throw error
  }
}

/** A session of a pool. One that is free only when nobody waits for it any more goes back. */
const connect = async (pool: Pool, signal: AbortSignal): Promise<PoolClient> => {
  signal.throwIfAborted()
  const connecting = pool.connect()
  try {
    return await unlessAborted(connecting, signal)
  } catch (error) {
    void connecting.then(
      (client) => client.release(),
      () => undefined,
    )
    throw error
  }
}

const notBegun = async (): Promise<boolean> => false

/** How often the server looks, while it runs a statement, whether the worker is still there, milliseconds. */
const lookMs = 2_000
/** A link on which nothing came for so long is asked, seconds, and lost after ten more. Linux asks after two hours. */
const silentS = 10

/** A worker that is well has ended a transaction so long after its time, milliseconds: a cancel is in vain after less. */
const lateMs = 30_000

/**
 * Dates, intervals, bytes and floats are written in one way, whatever is set for the role or the database: a text that one
 * connection gives is read by the next. The order of day and month in what is read stays as it is set.
 *
 * And the server ends what a lost worker was at: else that keeps its locks, and the job that comes again, which waits for
 * its entry in the ledger, would be out of time first. Only servers on Linux, from Postgres 14 on, surely can look; what
 * somebody has set is left alone. All of it ends with the transaction, as behind a pooler the session is somebody else's.
 *
 * The link of a worker that is frozen looks as if it were well: of that the server hears nothing in so many milliseconds,
 * null for one of which it may hear nothing for any time. Of a cursor that is asked for no more rows it does not count as
 * silence, so a read has a time for all of it, which servers know from Postgres 17 on.
 */
const whoSql = (silentMs: number | null, mostMs?: number): string => `
  select current_user as role, ${pooledSql} as pooled,
         current_setting('transaction_read_only')::bool as "isReadOnly",
         case when current_setting('DateStyle') not like 'ISO%' then set_config('DateStyle', 'ISO', true) end as date,
         case when current_setting('IntervalStyle') <> 'postgres'
              then set_config('IntervalStyle', 'postgres', true) end as interval,
         case when current_setting('bytea_output') <> 'hex' then set_config('bytea_output', 'hex', true) end as bytes,
         case when current_setting('extra_float_digits')::int < 1
              then set_config('extra_float_digits', '1', true) end as digits,
         case when version() ~ '^PostgreSQL.*linux' and current_setting('client_connection_check_interval', true) = '0'
              then set_config('client_connection_check_interval', '${lookMs}', true) end as look,
         case when current_setting('tcp_keepalives_idle')::int > ${silentS}
              then concat(set_config('tcp_keepalives_idle', '${silentS}', true),
                          set_config('tcp_keepalives_interval', '2', true),
                          set_config('tcp_keepalives_count', '5', true)) end as alive,
         case when current_setting('idle_in_transaction_session_timeout') = '0'
              then set_config('idle_in_transaction_session_timeout', '${silentMs ?? 0}', true) end as silent,
         case when current_setting('transaction_timeout', true) = '0' and ${mostMs !== undefined}
              then set_config('transaction_timeout', '${(mostMs ?? 0) + lateMs}', true) end as most`
const who = z.tuple([z.object({ role: z.string(), pooled: z.string(), isReadOnly: z.boolean() })])

/** A cancel that comes between two statements is lost on the server. */
const cancelAgainMs = 500

/** Cancels are in vain after this, milliseconds: else the system would hold the link for some 15 minutes. */
const vainMs = 5_000

/**
 * Cancels what a session does when the signal is aborted, and gives it up at last. The function that it gives ends that,
 * and says whether there was a cancel, which may reach the session late: it is not to be used again.
 */
const cancelOnAbort = (
  signal: AbortSignal,
  { cancel, giveUp }: { cancel: () => Promise<void>; giveUp: () => void },
): (() => Promise<boolean>) => {
  const over = new AbortController()
  let cancelling: Promise<void> | null = null
  const begin = () => {
    cancelling = (async () => {
      const begunMs = performance.now()
      while (!over.signal.aborted) {
        await cancel()
        if (performance.now() - begunMs > vainMs && !over.signal.aborted) return giveUp()
        await pause(cancelAgainMs, undefined, { signal: over.signal }).catch(() => undefined)
      }
    })()
  }
  if (signal.aborted) begin()
  else signal.addEventListener('abort', begin)
  return async () => {
    // Without a reason an error would be made for it, with a stack.
    over.abort('the work is done')
    signal.removeEventListener('abort', begin)
    await cancelling
    return cancelling !== null
  }
}

/**
 * What a statement set for its session (`set search_path`, a lock, a temporary table) must not meet the next job's, of
 * another workflow perhaps. It is sent behind the commit, without waiting for that. Gives whether it was done.
 */
const clean = async (client: PoolClient): Promise<boolean> => {
  try {
    await client.query('discard all')
    return true
  } catch {
    return false
  }
}
