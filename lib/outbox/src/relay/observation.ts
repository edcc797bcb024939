/** What a relay does and meets, for logs and metrics. Constant kinds; never a payload, and addresses without password. */
export type Observation =
  /** The lane is ours from now on. */
  | { kind: 'relay.owned'; lane: string }
  /** A neighbour owns the lane; said once, until it changes. */
  | { kind: 'relay.waiting'; lane: string }
  /** The control session ended, and the ownership with it. Nothing new goes out until it is back. */
  | { kind: 'relay.lost'; lane: string; reason: string }
  /** One turn that did something: scheduled rows moved, and how the publishes ended. */
  | { kind: 'relay.batch'; moved: number; confirmed: number; refused: number; unknown: number; ms: number }
  /** Rows of one turn that the broker did not take; one of them as an example. They are tried again. */
  | {
      kind: 'relay.refused'
      count: number
      reason: string
      messageId: string
      exchange: string
      routingKey: string
      attempt: number
      retryInMs: number
    }
  /** A turn ended in an error that is neither the database's nor the broker's absence. */
  | { kind: 'relay.failed'; reason: string; error: unknown; attempt: number; retryInMs: number }
  /** The relay has stopped; `emptied` says whether everything that could be published was. */
  | { kind: 'relay.stopped'; emptied: boolean; ms: number }
  | { kind: 'database.unavailable'; address: string; reason: string; attempt: number; retryInMs: number }
  | { kind: 'broker.unavailable'; address: string; reason: string; attempt: number; retryInMs: number }
  | { kind: 'broker.connected'; address: string }
  | { kind: 'broker.lost'; address: string; reason: string }
  /** The broker closed the channel, or the relay gave it up because confirms did not come. */
  | { kind: 'broker.channel-closed'; reason: string }
  /** The broker is short of memory or disk: nothing is read until it takes messages again. */
  | { kind: 'broker.blocked'; reason: string }
  | { kind: 'broker.unblocked' }
  /** The session that hears the doorbell is gone; the poll finds the rows meanwhile. */
  | { kind: 'bell.lost'; reason: string }
  | { kind: 'bell.listening'; channel: string }

export type Observe = (observation: Observation) => void
