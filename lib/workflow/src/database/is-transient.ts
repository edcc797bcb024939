/** SQLSTATE classes that say nothing about the statement: the server or the link was in the way, or two writers were. */
const transientClasses = new Set([
  '08', // connection
  '40', // deadlock, serialization
  '53', // resources, too many connections
  '55', // lock not available
  '57', // shutdown, crash, cannot connect now
  '58', // the system below the server
])

/** Of the class of connections, but what it says is that too few or too many parameters came. */
const protocolViolation = '08P01'

/**
 * Whether trying the same again can help. An error without a SQLSTATE is the link's own (refused, reset, timed out),
 * unless it is ours.
 */
export const isTransient = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false
  const code = sqlState(error)
  if (code !== undefined) return transientClasses.has(code.slice(0, 2)) && code !== protocolViolation
  return isLinkFault(error)
}

/** What Postgres calls an error, five characters; undefined for one that is not its own. */
export const sqlState = (error: Error): string | undefined => {
  if ('code' in error && typeof error.code === 'string' && /^[0-9A-Z]{5}$/.test(error.code)) return error.code
  // MikroORM wraps what the driver threw.
  return error.cause instanceof Error ? sqlState(error.cause) : undefined
}

const linkCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'ENOENT'])

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
