/** How a publish ended. */
export type PublishOutcome =
  /** The broker has it, for good. */
  | { kind: 'confirmed' }
  /** The broker did not take it: it is not out. */
  | { kind: 'refused'; why: Refusal; of: Refused; reason: string }
  /**
   * The link fell, or the deadline passed, before the confirm: it may be out. `wasReached`: the broker had come to it, and
   * on to one that was sent later, so it is not what the broker closed the channel over. `isLate`: it is for its own confirm
   * that the channel was given up.
   */
  | { kind: 'unknown'; cause: unknown; wasReached?: boolean; isLate?: boolean }

/**
 * Came back since no queue takes it; nacked; could not be written as AMQP; or the broker closed the channel over it, or
 * even the connection. What has no confirm, and may be out, is held back like one that was refused.
 */
export type Refusal = 'unroutable' | 'nacked' | 'unwritable' | 'closed channel' | 'closed connection' | 'unconfirmed'

/**
 * Whose fault it is: the row's own, or its destination's, and then the next row to the same exchange and routing key would
 * fare no better, or that of the exchange, which is not there for any routing key. A nack is the queue's: it is full and
 * refuses, or it cannot write.
 */
export type Refused = 'row' | 'destination' | 'exchange'
