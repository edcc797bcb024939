/** Why a relay gives a lane up. */
export type ReleaseReason = 'empty' | 'no broker' | 'stopping'

/** What a relay does and meets, for logs and metrics. Constant kinds; never a payload, and addresses without password. */
export type Observation =
  /** The lane is ours from now on: the relay's own, or one that it found with rows and without an owner. */
  | { kind: 'relay.owned'; lane: string }
  /**
   * The lane is nobody's from now on: one that was found is empty, the broker was gone for too long, or the relay stops
   * and a neighbour takes it.
   */
  | { kind: 'relay.released'; lane: string; reason: ReleaseReason }
  /** A neighbour owns the lane; said once, until it changes. */
  | { kind: 'relay.waiting'; lane: string }
  /**
   * The lane's exclusive queue is another connection's: nothing of the lane goes out until that one is closed. Said once,
   * until it is. A former owner's goes within seconds.
   */
  | { kind: 'relay.fenced'; lane: string; queue: string }
  /** The control session ended, and the ownership of every lane with it. Nothing new goes out until it is back. */
  | { kind: 'relay.lost'; reason: string }
  /** How the publishes of one batch of a lane ended. */
  | { kind: 'relay.batch'; lane: string; confirmed: number; refused: number; unknown: number; ms: number }
  /** Scheduled rows that were due were moved into the lane. */
  | { kind: 'relay.moved'; count: number }
  /** Rows of one batch that the broker did not take; one of them as an example. They are tried again. */
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
  /** Rows that were refused too often and are in `outbox_parked` now; the reason of one of them. */
  | { kind: 'relay.parked'; count: number; reason: string; messageId: string }
  /** Work on a lane ended in an error that is neither the database's nor the broker's absence. */
  | { kind: 'relay.failed'; reason: string; error: unknown; attempt: number; retryInMs: number }
  /** The relay has stopped; `emptied` says whether its lanes were left with nothing but what the broker refuses. */
  | { kind: 'relay.stopped'; emptied: boolean; ms: number }
  | { kind: 'database.unavailable'; address: string; reason: string; attempt: number; retryInMs: number }
  | { kind: 'broker.unavailable'; address: string; reason: string; attempt: number; retryInMs: number }
  | { kind: 'broker.connected'; address: string }
  /** The connection fell, or was given up. Told once: a lane that waits for the next one says nothing of it. */
  | { kind: 'broker.lost'; address: string; reason: string }
  /** The broker closed the channel, or the relay gave it up because confirms did not come. */
  | { kind: 'broker.channel-closed'; reason: string }
  /** The broker is short of memory or disk: nothing is read until it takes messages again. */
  | { kind: 'broker.blocked'; reason: string }
  | { kind: 'broker.unblocked' }
  /** The session that hears the doorbell is gone; the poll finds the rows meanwhile. */
  | { kind: 'bell.lost'; reason: string; retryInMs: number }
  | { kind: 'bell.listening' }

export type Observe = (observation: Observation) => void
