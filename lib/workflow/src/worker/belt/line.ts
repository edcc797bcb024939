import { setTimeout as pause } from 'node:timers/promises'
import { hangUp, isLinkClosing, openConnection } from '@esteira/outbox/internal/connection'
import { reasonOf } from '@esteira/service'
import { WorkflowError } from '../../errors.ts'
import { reopenPauseMs } from './backoff.ts'
import { type Consumer, type ConsumerOptions, openConsumer } from './consumer.ts'

/** One connection to the broker and what is consumed on it, from its opening to its end. */
export type Line = {
  /** Resolves with why, when the connection has ended. */
  ended: Promise<string>
  /** Takes no new deliveries, and resolves when those in hand are answered or the connection has ended. */
  drain: () => Promise<void>
  /** How many deliveries are not answered yet, of each queue that has any. */
  inHand: () => { queue: string; deliveries: number }[]
  close: () => Promise<void>
}

export type LineOptions = Omit<ConsumerOptions, 'queue' | 'prefetch'> & {
  rabbitmqUrl: string
  /** The connection's name, for people. */
  name: string
  queues: readonly string[]
  prefetchOf: (queue: string) => number
  /** A queue's channel ended while the connection lives, or could not be opened again. */
  onFault: (queue: string, reason: string) => void
}

/** Functions may keep the event loop busy for a while, in which no heartbeat goes out. */
const heartbeatSeconds = 10

/**
 * Connects, and consumes every queue on a channel of its own. A channel that ends is opened again while the connection
 * lives. When the signal is aborted before it is open, nothing is left of it.
 *
 * @throws WorkflowError `broker_unavailable`; no connection is left then.
 */
export const openLine = async (options: LineOptions, signal: AbortSignal): Promise<Line> => {
  const { rabbitmqUrl, name, queues, onFault } = options
  const connection = await openConnection(rabbitmqUrl, { name, heartbeatSeconds, signal }).catch(unavailable)
  const ended = Promise.withResolvers<string>()
  const over = new AbortController()
  const end = (reason: string) => {
    over.abort()
    ended.resolve(reason)
  }
  let reason = 'the connection was closed'
  connection.on('error', (error) => {
    reason = reasonOf(error)
  })
  connection.on('close', (error) => end(error === undefined ? reason : reasonOf(error)))
  const close = async () => {
    end('it was closed')
    await hangUp(connection)
  }

  const consumers = new Map<string, Consumer>()
  let isDraining = false
  const open = async (queue: string): Promise<Consumer> => {
    const consumer = await openConsumer(connection, { ...options, queue, prefetch: options.prefetchOf(queue) })
    consumers.set(queue, consumer)
    // One that is opened again just then would take what the others leave.
    if (isDraining) void consumer.drain()
    return consumer
  }
  const openAgain = async (queue: string): Promise<Consumer | null> => {
    for (let attempt = 1; ; attempt += 1) {
      await pause(reopenPauseMs(attempt), undefined, { signal: over.signal }).catch(() => undefined)
      if (over.signal.aborted) return null
      try {
        return await open(queue)
      } catch (error) {
        // Its end may have come before anybody listened.
        if (isLinkClosing(error)) end(reasonOf(error))
        if (over.signal.aborted) return null
        onFault(queue, reasonOf(error))
      }
    }
  }
  const keepOpen = async (queue: string, first: Consumer): Promise<void> => {
    for (let consumer: Consumer | null = first; consumer !== null; consumer = await openAgain(queue)) {
      const why = await consumer.ended
      if (over.signal.aborted) return
      onFault(queue, why)
    }
  }

  try {
    const opened = await Promise.all(queues.map(async (queue) => ({ queue, consumer: await open(queue) })))
    for (const { queue, consumer } of opened) void keepOpen(queue, consumer)
  } catch (error) {
    await close()
    return unavailable(error)
  }
  return {
    ended: ended.promise,
    inHand: () =>
      [...consumers]
        .map(([queue, consumer]) => ({ queue, deliveries: consumer.inHand() }))
        .filter(({ deliveries }) => deliveries > 0),
    drain: async () => {
      isDraining = true
      await Promise.all([...consumers.values()].map((consumer) => consumer.drain()))
    },
    close,
  }
}

const unavailable = (cause: unknown): never => {
  throw new WorkflowError('broker_unavailable', reasonOf(cause), { cause, final: false })
}
