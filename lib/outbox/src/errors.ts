import { nameOfKind } from './values/name-of-kind.ts'

/** What went wrong, for programs to tell apart. Codes are never reused. */
export type OutboxErrorCode =
  /** `enqueue`, `receive` or `migrate` was called outside a transaction: what it writes would stay if the rest fails. */
  | 'not_in_transaction'
  /** Postgres did not take a migration; the error's text names it. */
  | 'migration_failed'
  /**
   * A message cannot be published as it is, or a delivery has no UUID; the error's text says which one, where and what was
   * expected.
   */
  | 'message_invalid'
  /** A lane's name is none, empty or too long, its kind not for registering, or its number none or that of a key lane. */
  | 'lane_invalid'
  /** What a function takes is not known to it, missing or not what was expected; the error's text names it. */
  | 'option_invalid'
  /** Postgres refuses the role what is asked of it; the error's text has the grant that was expected. */
  | 'right_missing'
  /** A row of the outbox is not as the migrations made the table. */
  | 'row_invalid'
  /** A parked message cannot come back: its lane has another one with the id that it would get. */
  | 'id_taken'
  /** Postgres did not take the connection, or has not been migrated yet. */
  | 'database_unavailable'
  /** The address leads to a connection pooler, behind which a relay cannot work. */
  | 'pooler_in_between'
  /** The sequence of ids has a cache, goes down or begins anew at its end: keys would lose their order. */
  | 'sequence_unordered'
  /** The control session ended, and with it the ownership of its lane. */
  | 'session_lost'
  /** Another relay's connection still holds a key lane's exclusive queue. */
  | 'fence_held'
  /** RabbitMQ did not take the connection or the channel. */
  | 'broker_unavailable'
  /** The connection or the channel ended before the confirm came: the message may be out. */
  | 'broker_lost'
  /** RabbitMQ did not confirm within the deadline: the message may be out. */
  | 'confirm_overdue'
  /** The relay was started twice, or used after it was stopped. */
  | 'relay_misused'
  /** The relay was stopped while its start still waited for Postgres. */
  | 'relay_stopped'

/** The one error of this package. */
export class OutboxError extends Error {
  override readonly name = 'OutboxError'
  readonly code: OutboxErrorCode

  constructor(code: OutboxErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
  }
}

/** Why something failed, in one line. Node gathers the refusals of several addresses in an error without a message. */
export const reasonOf = (error: unknown): string => {
  try {
    if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ')
    return String(error instanceof Error ? error.message : error)
  } catch {
    // Anything can be thrown, also what has no text, or throws when it is read.
    return nameOfKind(error)
  }
}

/**
 * The address as it may be shown: user, host, port and path, never the password or the query.
 *
 * @throws TypeError for what is no address.
 */
export const withoutPassword = (address: string): string => {
  // The folder of a socket and a database, as pg takes them: there is no password in it.
  if (address.startsWith('/')) return address
  // pg also takes a user without a host, which a URL cannot have.
  const url = URL.parse(address) ?? new URL(address.replace(/\/\/[^/]*@\//, '///'))
  const user = url.username === '' ? '' : `${url.username}@`
  return `${url.protocol}//${user}${url.host}${url.pathname}`
}
