import { Socket } from 'node:net'
import pg from 'pg'
import { OutboxError, reasonOf } from '../../errors.ts'
import { within } from '../within.ts'

/**
 * The one session that a relay owns its lane by. Reads and deletes go over it as well, so that losing it stops all
 * three at once.
 */
export type ControlSession = {
  /** Runs one statement by itself; one with a name is prepared once. */
  query: (statement: Statement, values: unknown[]) => Promise<{ rows: unknown[]; rowCount: number | null }>
  /** Aborted when the session is over; its reason is an OutboxError `session_lost`. */
  lost: AbortSignal
  /** Ends the session, and with it frees its locks. */
  close: () => Promise<void>
}

export type Statement = { name?: string; text: string }

const connectTimeoutMs = 10_000

/** No statement of a relay takes long. One that does not come back tells of a link that is cut without a word. */
const queryTimeoutMs = 30_000

/** How long a session may take to say goodbye. A server that is gone never answers. */
const closeTimeoutMs = 1_000

/** @throws OutboxError `database_unavailable`. */
export const openControlSession = async (databaseUrl: string, applicationName: string): Promise<ControlSession> => {
  const socket = new Socket()
  const client = new pg.Client({
    stream: () => socket,
    connectionString: databaseUrl,
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: queryTimeoutMs,
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
  try {
    await client.connect()
  } catch (cause) {
    await close()
    throw new OutboxError('database_unavailable', reasonOf(cause), { cause })
  }
  return {
    lost: lost.signal,
    close,
    query: async (statement, values) => {
      if (lost.signal.aborted) throw lost.signal.reason
      try {
        return await client.query<Record<string, unknown>>({ ...statement, values })
      } catch (cause) {
        // Postgres answered, so the session lives, unless it said that it ends it (57P: a shutdown, a kill, a timeout).
        // No answer in time or a broken link end it as well.
        if (cause instanceof pg.DatabaseError && cause.code?.startsWith('57P') !== true) throw cause
        lose(cause)
        void close()
        throw lost.signal.reason
      }
    },
  }
}
