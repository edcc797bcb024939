import { Socket } from 'node:net'
import pg from 'pg'
import { readColumns } from '../../read-columns.ts'
import { onAbort } from '../on-abort.ts'
import { pause } from '../pause.ts'
import { within } from '../within.ts'
import { type Backend, startSql } from './backend.ts'
import { columnTypes } from './column-types.ts'
import { type ControlSession, sessionTimeoutMs } from './control-session.ts'

/** How often it is looked whether a statement waits for its answer, milliseconds. */
const lookMs = 1_000

/** A statement that waits for this long may take long, or be one that nobody heard. Somebody else is asked then. */
const askAfterMs = 4_000

/**
 * How long that answer may take, from the first SYN on, milliseconds: one that was lost comes again after one and after three
 * seconds.
 */
const askTimeoutMs = 6_000

/** Postgres is taken for silent when it has said nothing for so long, whoever asked. */
const silentMs = askAfterMs + askTimeoutMs

/** Postgres ends a session that is idle for that long. One that still is has not heard of its statement, nor of the time. */
const idleTooLongMs = sessionTimeoutMs + 2_000

/** How long a session may take to say goodbye. */
const closeTimeoutMs = 1_000

/**
 * Gives the session up when a statement waits for an answer that does not come: where packets are dropped and nothing is
 * reset, a socket says so after minutes. A statement may take that long as well, so Postgres is asked for it by a session
 * that lasts for one question: whether it answers at all, and is still at work on the one. Ends with the session, and says
 * since when nothing was heard on it (`performance.now()`), or null if that is not why it ended.
 */
export const watchSilence = async (
  session: ControlSession,
  backend: Backend,
  where: { databaseUrl: string; lane: string },
): Promise<number | null> => {
  let heardAtMs = performance.now()
  const quietMs = () => Math.min(session.unansweredMs(), performance.now() - heardAtMs)
  while (!session.lost.aborted) {
    await pause(lookMs, session.lost)
    if (quietMs() < askAfterMs) continue
    const answer = await askElsewhere(where, backend, session.lost)
    // The statement may have been answered meanwhile.
    if (session.unansweredMs() < askAfterMs) continue
    const silentSinceMs = performance.now() - session.unansweredMs()
    if (answer.kind === 'there') heardAtMs = performance.now()
    if (answer.kind === 'not there') session.giveUp('Postgres is not at work on what it was asked')
    else if (answer.kind === 'none' && quietMs() >= silentMs) session.giveUp('Postgres is silent, to whoever asks')
    else continue
    return silentSinceMs
  }
  return null
}

/**
 * `there` is also what it may be, where Postgres answers and does not say, as when it takes no more sessions. `none` in all
 * of the time; `unasked` where the question failed at once, as for want of a name's address or of a file: that says nothing
 * of Postgres.
 */
type Answer = { kind: 'there' } | { kind: 'not there' } | { kind: 'none' } | { kind: 'unasked' }

const askElsewhere = async (
  { databaseUrl, lane }: { databaseUrl: string; lane: string },
  { pid, startedAt }: Backend,
  over: AbortSignal,
): Promise<Answer> => {
  const socket = new Socket()
  const client = new pg.Client({
    stream: () => socket,
    connectionString: databaseUrl,
    types: columnTypes,
    application_name: `outbox watch ${lane}`,
  })
  // What fails is told by the answers.
  client.on('error', () => {})
  const unwatch = onAbort(over, () => socket.destroy())
  let isLate = false
  const deadline = setTimeout(() => {
    isLate = true
    socket.destroy()
  }, askTimeoutMs)
  try {
    await client.connect()
    const { rows } = await client.query<Record<string, unknown>>(isThereSql, [pid, startedAt])
    return { kind: readColumns(rows[0], 'the look for a session', { there: 'boolean' }).there ? 'there' : 'not there' }
  } catch (cause) {
    if (cause instanceof pg.DatabaseError) return { kind: 'there' }
    return { kind: isLate ? 'none' : 'unasked' }
  } finally {
    clearTimeout(deadline)
    unwatch()
    void sayGoodbye(client, socket)
  }
}

const sayGoodbye = async (client: pg.Client, socket: Socket): Promise<void> => {
  await within(closeTimeoutMs, Promise.allSettled([client.end()]))
  socket.destroy()
}

// A role may see of a session no more than its number, also of one of its own: then it is there.
const isThereSql = `
  select exists (
    select from pg_stat_activity
    where pid = $1 and (${startSql} = $2) is not false
      and (state = 'idle' and state_change < clock_timestamp() - interval '${idleTooLongMs} ms') is not true
  ) as there`
