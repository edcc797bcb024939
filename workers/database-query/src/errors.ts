/** What can go wrong with a statement, for programs to tell apart. */
export type DatabaseQueryErrorCode =
  | 'connection_unknown'
  | 'ledger_missing'
  | 'ledger_outdated'
  | 'ledger_refused'
  | 'ledger_late'
  | 'statement_refused'
  | 'refused_for_now'
  | 'result_too_large'
  | 'result_refused'
  | 'memory_taken'
  | 'too_many_rows'
  | 'config_invalid'
  | 'session_changed'
  | 'session_lost'
  | 'outcome_unknown'
  | 'read_only_now'
  | 'took_too_long'

/** The one error of this worker. */
export class DatabaseQueryError extends Error {
  override readonly name = 'DatabaseQueryError'
  readonly code: DatabaseQueryErrorCode
  readonly final: boolean

  constructor(code: DatabaseQueryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.final = !passingCodes.has(code)
  }
}

/** What may go better another time. */
const passingCodes: ReadonlySet<DatabaseQueryErrorCode> = new Set([
  // To the next worker it may be known: in a rollout that adds it some have it already.
  'connection_unknown',
  'session_lost',
  'outcome_unknown',
  'ledger_late',
  'read_only_now',
  'refused_for_now',
  'memory_taken',
])

/**
 * A database that takes no writes, though its connection is for them: after a failover the address may still lead to
 * the standby.
 */
export const readOnlyNow = (cause?: unknown): DatabaseQueryError =>
  new DatabaseQueryError(
    'read_only_now',
    'it is read-only just now, a standby perhaps; if it is to stay so, give the connection esteira_read_only=true',
    { cause },
  )

/** The session was lost under its commit: the server may have done it, or not. */
export const outcomeUnknown = (reason: string, cause: unknown): DatabaseQueryError =>
  new DatabaseQueryError('outcome_unknown', `${reason}: whether that is done is not known`, { cause })

/** A COPY that wants to be sent something. */
export const nothingToCopy = (): DatabaseQueryError =>
  new DatabaseQueryError('statement_refused', 'config.sql: there is nothing to copy from here')
