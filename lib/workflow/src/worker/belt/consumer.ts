import { setTimeout as pause } from 'node:timers/promises'
import { isLinkClosing } from '@esteira/outbox/internal/connection'
import { reasonOf } from '@esteira/service'
import type { Channel, Connection, ConsumeMessage } from 'amqplib/callback_api'
import { type Delivery, type ProbeDelivery, readMessage } from './delivery.ts'
import { createInHand } from './in-hand.ts'

/** What of a queue is consumed on a channel of its own, from its opening to its end. */
export type Consumer = {
  /** Resolves with why, when the channel has ended: what was in hand has gone back to the queue. */
  ended: Promise<string>
  /** Takes no new deliveries, and resolves when those in hand are answered or the channel has ended. */
  drain: () => Promise<void>
  /** How many deliveries are not answered yet. */
  inHand: () => number
}

export type ConsumerOptions = {
  /** Declared as a quorum queue. */
  queue: string
  /** How many deliveries are in hand at a time. */
  prefetch: number
  onDelivery: (queue: string, delivery: Delivery) => void
  onProbe: (queue: string, probe: ProbeDelivery) => void
  onUnreadable: (queue: string, reason: string) => void
}

/** So that a message that is handed back does not return in a tight loop, milliseconds. */
const handBackPauseMs = 1_000

/**
 * A quorum queue may apply an ack after the end of the channel that sent it, and then hands the message out again. So a
 * channel that is to end stays for a moment after its last ack, milliseconds.
 */
const lastAckMs = 100

/**
 * RabbitMQ 4 drops a message of a quorum queue after 20 deliveries unless told otherwise, and with it the job. A worker
 * that is killed, or a broker that restarts, counts as one each time.
 */
const queueArguments = { 'x-queue-type': 'quorum', 'x-delivery-limit': 1_000_000 }

/**
 * Declares a queue and consumes it on a channel of the connection. Acks of one moment are sent together.
 *
 * @throws what RabbitMQ said, such as that the queue is there with other arguments, or that the link is gone.
 */
export const openConsumer = async (connection: Connection, options: ConsumerOptions): Promise<Consumer> => {
  const { queue, prefetch, onDelivery, onProbe, onUnreadable } = options
  const ended = Promise.withResolvers<string>()
  const emptied = Promise.withResolvers<void>()
  const inHand = createInHand<ConsumeMessage>()
  /** Messages that wait to go back. */
  const goingBack = new Map<ConsumeMessage, NodeJS.Timeout>()
  let isOver = false
  let isDraining = false
  let isAcking = false
  let hasAcked = false

  const lookIfEmpty = () => {
    if (isDraining && inHand.size() === 0) emptied.resolve()
  }
  const end = (reason: string) => {
    if (isOver) return
    isOver = true
    for (const timer of goingBack.values()) clearTimeout(timer)
    inHand.clear()
    ended.resolve(reason)
    emptied.resolve()
  }
  const channel = await openChannel(connection, end)

  const sendAcks = () => {
    isAcking = false
    if (isOver) return
    hasAcked = true
    for (const { message, allUpTo } of inHand.takeAcks()) {
      unlessClosing(() => channel.ack(message, allUpTo))
    }
    lookIfEmpty()
  }
  const ack = (message: ConsumeMessage) => {
    if (!inHand.finish(message) || isAcking) return
    isAcking = true
    setImmediate(sendAcks)
  }
  const giveBack = (message: ConsumeMessage) => {
    clearTimeout(goingBack.get(message))
    goingBack.delete(message)
    if (!inHand.giveUp(message)) return
    unlessClosing(() => channel.nack(message, false, true))
    lookIfEmpty()
  }
  const handBack = (message: ConsumeMessage) => {
    if (isOver || goingBack.has(message)) return
    if (isDraining) return giveBack(message)
    goingBack.set(
      message,
      setTimeout(() => giveBack(message), handBackPauseMs),
    )
  }

  const onMessage = (message: ConsumeMessage | null) => {
    if (message === null) {
      // Nothing comes any more. With the channel goes what is in hand, and whoever opened it opens another one.
      end('the broker cancelled the consumer: the queue was deleted')
      unlessClosing(() => channel.close())
      return
    }
    inHand.take(message)
    if (isDraining) return giveBack(message)
    const read = readMessage(message)
    if ('unreadable' in read) {
      // Not one of ours, and it will not become one by coming again.
      onUnreadable(queue, read.unreadable)
      ack(message)
      return
    }
    const answers = { ack: () => ack(message), handBack: () => handBack(message) }
    if ('probe' in read) onProbe(queue, { ...read, ...answers })
    else onDelivery(queue, { ...read, ...answers, receivedMs: performance.now() })
  }

  await answer<unknown>((done) => channel.assertQueue(queue, { durable: true, arguments: queueArguments }, done))
  channel.prefetch(prefetch)
  const { consumerTag } = await answer<{ consumerTag: string }>((done) => channel.consume(queue, onMessage, {}, done))

  return {
    ended: ended.promise,
    inHand: inHand.size,
    drain: async () => {
      isDraining = true
      if (!isOver) unlessClosing(() => channel.cancel(consumerTag))
      for (const message of goingBack.keys()) giveBack(message)
      lookIfEmpty()
      await emptied.promise
      if (!isOver && hasAcked) await pause(lastAckMs)
    },
  }
}

const openChannel = async (connection: Connection, onEnd: (reason: string) => void): Promise<Channel> => {
  const opened = Promise.withResolvers<void>()
  const channel = connection.createChannel((error: Error | null) =>
    error === null ? opened.resolve() : opened.reject(error),
  )
  // Before it is open: the answer that opens a channel and the one that closes it may come in one piece.
  let reason = 'the channel was closed'
  channel.on('error', (error) => {
    reason = reasonOf(error)
  })
  channel.on('close', () => onEnd(reason))
  await opened.promise
  return channel
}

/** The answer to what is asked of a channel; amqplib's types do not say that there may be no error. */
const answer = <Reply>(ask: (done: (error: Error | null, reply: Reply) => void) => void): Promise<Reply> =>
  new Promise((resolve, reject) => ask((error, reply) => (error === null ? resolve(reply) : reject(error))))

/** A channel or link that is closed, or about to be, takes nothing; its messages go back by themselves. */
const unlessClosing = (send: () => void): void => {
  try {
    send()
  } catch (error) {
    if (!isLinkClosing(error)) throw error
  }
}
