import { once } from 'node:events'
import { withoutPassword } from '@esteira/service'
import * as z from 'zod'
import type { JobReference } from '../job/new-job.ts'
import { type Broker, createBroker, linkReason } from './create-broker.ts'

/** A message that a worker holds until the job behind it has moved on. */
export type Delivery = {
  reference: JobReference
  /** The broker handed it out before: whoever had it then may still be at work. */
  redelivered: boolean
  /** The job is written: the broker may forget the message. */
  ack: () => void
  /** The job is not written: the broker hands the message out again after a pause. */
  handBack: () => void
}

/** What happens on the belt, for logs and metrics. */
export type BeltEvent =
  | { kind: 'belt.lost'; address: string; reason: string }
  | { kind: 'belt.back'; address: string }
  | { kind: 'belt.fault'; queue: string; reason: string }
  | { kind: 'belt.unreadable'; queue: string; reason: string }

export type Belt = {
  /** Takes no new deliveries, waits until those in hand are acked or the grace period is over, and closes. */
  stop: () => Promise<void>
}

type BeltOptions = {
  rabbitmqUrl: string
  /** Names of functions, which are the names of their queues. */
  queues: readonly string[]
  prefetch: number
  graceMs: number
  onDelivery: (queue: string, delivery: Delivery) => void
  observe: (event: BeltEvent) => void
}

/** So that a message that is handed back does not return in a tight loop, milliseconds. */
const handBackPauseMs = 1_000

/**
 * RabbitMQ 4 drops a message of a quorum queue after 20 deliveries unless told otherwise, and with it the job. A worker
 * that is killed, or a broker that restarts, counts as one each time.
 */
const queueArguments = { 'x-queue-type': 'quorum', 'x-delivery-limit': 1_000_000 }

const referenceSchema = z.object({ jobId: z.uuid(), seq: z.int().min(1) })

/** Consumes the queues of functions through Rascal, which declares them and comes back by itself after a lost link. */
export const openBelt = async (options: BeltOptions): Promise<Belt> => {
  const broker = await createBroker(brokerConfig(options))
  const address = withoutPassword(options.rabbitmqUrl)
  let lost = false
  broker.on('error', (error: Error, at?: object) => {
    if (at === undefined) {
      // From the shutdown: the grace period is over, and what is still in hand goes back to the queue with the channel.
      options.observe({ kind: 'belt.fault', queue: options.queues.join(', '), reason: error.message })
      return
    }
    lost = true
    options.observe({ kind: 'belt.lost', address, reason: linkReason(error) })
  })
  broker.on('vhost_initialised', () => {
    if (lost) options.observe({ kind: 'belt.back', address })
    lost = false
  })
  try {
    for (const queue of options.queues) await consume(broker, queue, options)
  } catch (error) {
    await broker.shutdown()
    throw error
  }
  return { stop: () => broker.shutdown() }
}

const consume = async (broker: Broker, queue: string, { observe, onDelivery }: BeltOptions): Promise<void> => {
  const session = await broker.subscribe(queue)
  // Rascal tries again whatever fails later, but not the first subscription: the worker would be deaf for good.
  const subscribed = once(session, 'subscribed')
  const fault = (error: Error) => observe({ kind: 'belt.fault', queue, reason: error.message })
  session.on('error', fault)
  session.on('cancelled', fault)
  session.on('invalid_content', (error, _message, ackOrNack) => {
    observe({ kind: 'belt.unreadable', queue, reason: error.message })
    ackOrNack()
  })
  session.on('message', (message, content, ackOrNack) => {
    const reference = referenceSchema.safeParse(content)
    if (!reference.success) {
      // Not one of ours, and it will not become one by coming again.
      observe({ kind: 'belt.unreadable', queue, reason: z.prettifyError(reference.error) })
      ackOrNack()
      return
    }
    onDelivery(queue, {
      reference: reference.data,
      redelivered: message.fields.redelivered,
      ack: () => ackOrNack(),
      handBack: () =>
        ackOrNack(new Error('handed back'), [{ strategy: 'nack', requeue: true, defer: handBackPauseMs }]),
    })
  })
  await subscribed
}

const retry = { min: 250, max: 10_000, factor: 2, strategy: 'exponential' as const }

const brokerConfig = ({ rabbitmqUrl, queues, prefetch, graceMs }: BeltOptions) => {
  const vhost = decodeURIComponent(new URL(rabbitmqUrl).pathname.slice(1)) || '/'
  return {
    vhosts: {
      [vhost]: {
        connection: { url: rabbitmqUrl, retry },
        exchanges: [''],
        queues: Object.fromEntries(
          queues.map((queue) => [queue, { options: { durable: true, arguments: queueArguments } }]),
        ),
      },
    },
    subscriptions: Object.fromEntries(
      queues.map((queue) => [
        queue,
        {
          vhost,
          queue,
          prefetch,
          contentType: 'application/json',
          // To Rascal 0 means without end.
          closeTimeout: Math.max(graceMs, 1),
          retry,
        },
      ]),
    ),
  }
}
