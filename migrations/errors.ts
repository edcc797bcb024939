/** The one error of this package: a file that the database does not take. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
  readonly code: 'migration_failed'

  constructor(code: 'migration_failed', message: string, options: { cause: unknown }) {
    super(message, options)
    this.code = code
  }
}
