/**
 * Why the stack cannot be brought up, in a message that needs no stack trace.
 *
 * - `folder_busy`: another start uses the data folder
 * - `folder_unusable`: the data folder cannot be made or written to
 * - `folder_foreign`: what is in the data folder is not ours to delete or to use
 * - `nothing_to_run`: the machine has nothing that runs one of the services
 * - `install_failed`: the package manager did not install RabbitMQ
 * - `unreachable`: a service whose address was given does not answer, or refuses what the address asks for
 * - `vhost_taken`: the virtual host is that of a house with another database
 * - `service_failed`: a service that was started does not come up
 */
export type StackErrorCode =
  | 'folder_busy'
  | 'folder_unusable'
  | 'folder_foreign'
  | 'nothing_to_run'
  | 'install_failed'
  | 'unreachable'
  | 'vhost_taken'
  | 'service_failed'

/** The one error of the stack; `code` is stable. */
export class StackError extends Error {
  override readonly name = 'StackError'
  readonly code: StackErrorCode

  constructor(code: StackErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
