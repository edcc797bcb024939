/** What can go wrong with a statement, for programs to tell apart. */
export type DatabaseQueryErrorCode =
  | 'connection_unknown'
  | 'ledger_missing'
  | 'ledger_outdated'
  | 'ledger_refused'
  | 'statement_refused'
  | 'result_too_large'
  | 'too_many_rows'
  | 'config_invalid'
  | 'session_changed'
  | 'session_lost'

/** The one error of this worker. */
export class DatabaseQueryError extends Error {
  override readonly name = 'DatabaseQueryError'
  readonly code: DatabaseQueryErrorCode
  /** Of all these only a session that was lost may go better another time. */
  readonly final: boolean

  constructor(code: DatabaseQueryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.final = code !== 'session_lost'
  }
}

/** A COPY that wants to be sent something. */
export const nothingToCopy = (): DatabaseQueryError =>
  new DatabaseQueryError('statement_refused', 'config.sql: there is nothing to copy from here')
