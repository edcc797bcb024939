/** SQLSTATE classes that say nothing about the statement: the server or the link was in the way, or two writers were. */
const transientClasses = new Set([
  '08', // connection
  '40', // deadlock, serialization
  '53', // resources, too many connections
  '55', // lock not available
  '57', // shutdown, crash, cannot connect now
  '58', // the system below the server
])

/** Of other classes: the server has ended a session that was silent in its transaction, or had one for too long. */
const transientCodes = new Set(['25P03', '25P04'])

/**
 * Of the class of connections, but what Postgres says by it is that too few or too many parameters came. As the end of the
 * session it is what PgBouncer says of whatever has no code of its own: a wait that is over, a server that is away, and a
 * login that is refused.
 */
const protocolViolation = '08P01'

/** Of those, by their words, what no wait helps (https://github.com/pgbouncer/pgbouncer/blob/master/src/client.c). */
const refusedLogin =
  /authentication failed|no such (user|database)|startup parameter|SSL required|login rejected|config error/i

/** And what comes of how long the work took, which is cut short by it. */
const poolersTimeOut = /(^|\W)(query|transaction)_timeout/

/**
 * Whether trying the same again can help, on any database of Postgres. An error without a SQLSTATE is the link's own
 * (refused, reset, timed out), unless it is ours.
 */
export const isTransient = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false
  const refusal = databaseErrorOf(error)
  if (refusal === null) return isLinkFault(error)
  const { code, endsSession } = refusal
  if (code === protocolViolation) return endsSession && !refusedLogin.test(error.message)
  return transientCodes.has(code) || transientClasses.has(code.slice(0, 2))
}

/** SQLSTATE classes of those that are answered in a session that goes on: two writers were in each other's way. */
const classesOfWriters = new Set(['40', '55'])

/** Whether the session, or the server, is gone with what was asked of it, or may be. */
export const isSessionLost = (error: unknown): boolean =>
  isTransient(error) && !classesOfWriters.has(databaseErrorOf(error)?.code.slice(0, 2) ?? '')

/** What a server answers when it gives up a statement, or a transaction, that it had begun on. */
const cutShortCodes = new Set([
  '57014', // for its time, or since somebody has cancelled it
  '53200', // for its memory, that of its locks included
  '53400', // for its temporary files
  '25P04', // for the time of its transaction
])

/**
 * Whether the server gave up what it was asked for. That may pass by itself, as when somebody cancels all that is under way;
 * or it comes of what the statement holds, and then with each try.
 */
export const isCutShort = (error: unknown): boolean => {
  const refusal = databaseErrorOf(error)
  if (refusal === null || !(error instanceof Error)) return false
  if (refusal.code === protocolViolation) return refusal.endsSession && poolersTimeOut.test(error.message)
  return cutShortCodes.has(refusal.code)
}

/** Whether the server gave up the wait for a lock that somebody else has, for its `lock_timeout`. */
export const isLockedOut = (error: unknown): boolean => databaseErrorOf(error)?.code === '55P03'

/**
 * Whether nothing was heard of a server that had been asked: it is away, or the statement waits in it for what others need
 * not wait for.
 */
export const isSilent = (error: unknown): boolean =>
  error instanceof Error && (('code' in error && error.code === 'ETIMEDOUT') || isSilent(error.cause))

/** What a server answers to a write that takes none. */
export const readOnly = '25006'

/**
 * Likewise on Esteira's own database. All that is asked of it is to be written, so a server that takes no writes is the wrong
 * one for a moment: after a failover the address of before may be a standby's for a while.
 */
export const isTransientHere = (error: unknown): boolean =>
  isTransient(error) || databaseErrorOf(error)?.code === readOnly

/**
 * What Postgres said of an error: its SQLSTATE, of a constraint the table, and whether that is the end of the session. Null
 * for one that is not its own.
 */
export const databaseErrorOf = (
  error: unknown,
): { code: string; table: string | null; endsSession: boolean } | null => {
  if (!(error instanceof Error)) return null
  if ('code' in error && typeof error.code === 'string' && isSqlState(error.code)) {
    return {
      code: error.code,
      table: 'table' in error && typeof error.table === 'string' ? error.table : null,
      endsSession: 'severity' in error && error.severity === 'FATAL',
    }
  }
  // MikroORM wraps what the driver threw.
  return databaseErrorOf(error.cause)
}

const linkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  // A node that died, or the way to it.
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  // A socket in the file system.
  'ENOENT',
])

/** `EPIPE` has the form of one as well. */
const isSqlState = (code: string): boolean => /^[0-9A-Z]{5}$/.test(code) && !linkCodes.has(code)

const isLinkFault = (error: Error): boolean => {
  if ('code' in error && typeof error.code === 'string' && linkCodes.has(error.code)) return true
  if (error instanceof AggregateError) return error.errors.every((part) => part instanceof Error && isLinkFault(part))
  // pg says only this much when a socket ends under a query or before the session began.
  if (
    /Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error/.test(
      error.message,
    )
  )
    return true
  return error.cause instanceof Error && isLinkFault(error.cause)
}
