import type { Connection } from 'amqplib/callback_api'
import { OutboxError, reasonOf } from '../../errors.ts'
import type { LaneRow } from '../read/lane-row.ts'
import { type ConfirmClock, createConfirmClock } from './confirm-clock.ts'
import { socketOf } from './gather-writes.ts'
import { noChannel } from './no-channel.ts'
import type { PublishOutcome, Refusal, Refused } from './outcome.ts'
import { createFrameCheck } from './properties-frame.ts'
import { createReturned } from './returned.ts'

/** A channel on which every publish ends as an outcome, whatever happens to the channel. */
export type ConfirmChannel = {
  /** Writes the row to the connection; `onEnd` is called once, with how it ended, and never before this returns. */
  publish: (row: LaneRow, onEnd: (outcome: PublishOutcome) => void) => void
  /** What the broker closed the channel for, e.g. an exchange that is not there, or the connection; null while it has not. */
  fault: () => Fault | null
  closed: () => boolean
  /** Takes it that the broker has come to all that is in flight, since that was waited for. */
  supposeReached: () => void
  /** Has it abandoned when confirms do not come; returns what ends that. */
  expectConfirms: ConfirmClock['start']
  /** Gives the channel up: what is in flight ends as unknown at once. */
  abandon: (cause: OutboxError) => void
  /** Resolves when RabbitMQ has closed it, or the connection is gone: nothing of it is on its way any more. */
  gone: Promise<void>
  /**
   * Closes it, when nothing is in flight, and resolves once RabbitMQ has done so too. False if it was abandoned: then
   * something may be on its way still.
   */
  letGo: () => Promise<boolean>
}

export type Fault = { why: 'closed channel' | 'closed connection'; of: Refused; reason: string }

/**
 * Opens a channel. `onGiveUp` hears why, when the broker closes it or it is abandoned while the connection lives.
 * `connectionFault` is what the broker closed the connection for, if it did.
 *
 * @throws OutboxError `broker_unavailable`.
 */
export const openConfirmChannel = async (
  connection: Connection,
  onGiveUp: (reason: string) => void,
  connectionFault: () => string | null = () => null,
): Promise<ConfirmChannel> => {
  const opened = Promise.withResolvers<void>()
  try {
    const channel = connection.createConfirmChannel((error: Error | null) =>
      error === null ? opened.resolve() : opened.reject(error),
    )
    // Before it is open: the answer that opens a channel and the one that closes it may come in one piece.
    const watched = watch(channel, connection, { onGiveUp, connectionFault })
    await opened.promise
    return watched
  } catch (cause) {
    throw noChannel(cause)
  }
}

/**
 * Whose fault it is that RabbitMQ closes a channel, by its code: there is no such exchange, or no right to write to it, for
 * everybody if it is internal. Of a right to some routing keys only its text tells. With other codes (406: too large) it
 * is the message's.
 */
const faultOf = (error: Error): Refused => {
  const code: unknown = Reflect.get(error, 'code')
  if (code === 403 && error.message.includes('access to topic')) return 'destination'
  return code === 404 || code === 403 ? 'exchange' : 'row'
}

type AmqpChannel = ReturnType<Connection['createConfirmChannel']>

type Told = { onGiveUp: (reason: string) => void; connectionFault: () => string | null }

const watch = (channel: AmqpChannel, connection: Connection, { onGiveUp, connectionFault }: Told): ConfirmChannel => {
  /** How each publish in flight is ended, with its row. */
  const inFlight = new Map<(outcome: PublishOutcome) => void, LaneRow>()
  /** How many were sent, and up to which of them the broker has come, as it answers some out of their order. */
  let sent = 0
  let reached = 0
  const returned = createReturned()
  const checkFrame = createFrameCheck(connection)
  let fault: Fault | null = null
  let ended: OutboxError | null = null
  let abandoned = false
  const gone = Promise.withResolvers<void>()

  const end = (cause: OutboxError) => {
    if (ended !== null) return
    ended = cause
    for (const settle of inFlight.keys()) settle({ kind: 'unknown', cause })
  }
  channel.on('error', (error: Error) => {
    fault = { why: 'closed channel', of: faultOf(error), reason: reasonOf(error) }
    onGiveUp(fault.reason)
  })
  // First of all listeners: amqplib's own answers each publish in flight with an error that looks like a nack's.
  channel.prependListener('close', () => {
    const reason = fault === null ? connectionFault() : null
    // What it was that the broker could not bear is not told by the code; that it comes alone is.
    if (reason !== null) fault = { why: 'closed connection', of: 'row', reason }
    end(new OutboxError('broker_lost', fault?.reason ?? 'the channel was closed before the confirm came'))
    gone.resolve()
  })
  channel.on('return', ({ fields, properties }) => {
    const messageId: unknown = properties.messageId
    if (typeof messageId === 'string') returned.cameBack({ ...fields, messageId }, inFlight.values())
  })

  const publish = (row: LaneRow, onEnd: (outcome: PublishOutcome) => void) => {
    const endLater = (outcome: PublishOutcome) => queueMicrotask(() => onEnd(outcome))
    if (ended !== null) return endLater({ kind: 'unknown', cause: ended })
    const place = sent + 1
    const settle = (outcome: PublishOutcome) => {
      if (!inFlight.delete(settle)) return
      returned.ended(row, inFlight.size)
      if (outcome.kind === 'unknown') return onEnd({ ...outcome, wasReached: place <= reached })
      if (place > reached) reached = place
      onEnd(outcome)
    }
    const properties = propertiesOf(row)
    const unframed = checkFrame(properties)
    if (unframed !== null) return endLater(refused('unwritable', 'row', unframed))
    try {
      channel.publish(
        row.exchange,
        row.routingKey,
        typeof row.payload === 'string' ? Buffer.from(row.payload) : row.payload,
        properties,
        (error: Error | null) => {
          if (error !== null) settle(refused('nacked', 'destination', error.message))
          // A message that no queue takes comes back before it is confirmed.
          else settle(returned.has(row) ? refused('unroutable', 'destination', 'no queue takes it') : confirmed)
        },
      )
      inFlight.set(settle, row)
      sent = place
      returned.sent(row)
    } catch (error) {
      // A link that is being closed takes nothing; any other error means that the row could not be encoded, and
      // then nothing of it was written.
      if (isLinkClosing(error)) {
        end(new OutboxError('broker_lost', reasonOf(error), { cause: error }))
        endLater({ kind: 'unknown', cause: error })
      } else {
        endLater(refused('unwritable', 'row', reasonOf(error)))
      }
    }
  }

  const abandon = (cause: OutboxError) => {
    if (ended !== null) return
    abandoned = true
    end(cause)
    onGiveUp(cause.message)
    closeUnlessClosing(channel)
  }

  const clock = createConfirmClock({
    inFlight: () => inFlight.keys(),
    isInFlight: (settle) => inFlight.has(settle),
    socket: socketOf(connection),
    onOverdue: (ms) => abandon(new OutboxError('confirm_overdue', `no confirm within ${ms} ms${firstOf(inFlight)}`)),
  })

  return {
    publish,
    expectConfirms: clock.start,
    fault: () => fault,
    closed: () => ended !== null,
    supposeReached: () => {
      reached = sent
    },
    abandon,
    gone: gone.promise,
    letGo: async () => {
      if (abandoned || inFlight.size > 0) return false
      if (ended === null) {
        end(new OutboxError('broker_lost', 'the lane was let go'))
        closeUnlessClosing(channel)
      }
      await gone.promise
      return true
    },
  }
}

/** Where the first one was sent that waits. */
const firstOf = (inFlight: ReadonlyMap<unknown, LaneRow>): string => {
  const [row] = inFlight.values()
  return row === undefined ? '' : ` of a message to exchange "${row.exchange}", routing key "${row.routingKey}"`
}

/** A connection that is being closed takes its channels with it, and refuses to close one. */
const closeUnlessClosing = (channel: AmqpChannel): void => {
  try {
    channel.close()
  } catch (error) {
    if (!isLinkClosing(error)) throw error
  }
}

/** What amqplib throws for whatever is asked of a connection that is closed, or about to be. */
export const isLinkClosing = (error: unknown): boolean =>
  error instanceof Error && error.name === 'IllegalOperationError'

const confirmed: PublishOutcome = { kind: 'confirmed' }

const refused = (why: Refusal, of: Refused, reason: string): PublishOutcome => ({ kind: 'refused', why, of, reason })

const propertiesOf = (row: LaneRow) => ({
  mandatory: true,
  persistent: true,
  contentType: typeof row.payload === 'string' ? 'application/json' : 'application/octet-stream',
  messageId: row.messageId,
  timestamp: row.createdAt,
  headers: row.headers,
})
