/** How a publish ended. */
export type PublishOutcome =
  /** The broker has it, for good. */
  | { kind: 'confirmed' }
  /** The broker did not take it: it is not out. */
  | { kind: 'refused'; why: Refusal; of: Refused; reason: string }
  /** The link fell, or the deadline passed, before the confirm: it may be out. */
  | { kind: 'unknown'; cause: unknown }

/**
 * Came back since no queue takes it; nacked; could not be written as AMQP; or the broker closed the channel over it, or
 * even the connection.
 */
export type Refusal = 'unroutable' | 'nacked' | 'unwritable' | 'closed channel' | 'closed connection'

/**
 * Whose fault it is: the row's own, or its destination's, and then the next row to the same exchange and routing key would
 * fare no better, or that of the exchange, which is not there for any routing key. A nack is the queue's: it is full and
 * refuses, or it cannot write.
 */
export type Refused = 'row' | 'destination' | 'exchange'
