/** What can be wrong with a statement, for programs to tell apart. */
export type DatabaseQueryErrorCode = 'connection_unknown' | 'ledger_missing' | 'statement_refused' | 'config_invalid'

/** The one error of this worker. None of these goes away by trying again. */
export class DatabaseQueryError extends Error {
  override readonly name = 'DatabaseQueryError'
  readonly code: DatabaseQueryErrorCode
  readonly final = true

  constructor(code: DatabaseQueryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
