import { setImmediate } from 'node:timers/promises'
import type { Connection } from 'amqplib/callback_api'
import rascal from 'rascal'
import { OutboxError, reasonOf, withoutPassword } from '../../errors.ts'
import { onAbort } from '../on-abort.ts'
import { within } from '../within.ts'
import { gatherWrites, socketOf } from './gather-writes.ts'

/**
 * A link without traffic is given up after two of these, so RabbitMQ's loss is noticed within some 10 s, and so is by
 * RabbitMQ that of a relay that was frozen.
 */
const heartbeatSeconds = 5

const connectTimeoutMs = 10_000

/** Connecting and the handshake of Rascal's own connection. */
const createTimeoutMs = 15_000
const shutdownTimeoutMs = 2_000

/**
 * Rascal would open its own connection again while it is shut down, and keep it. Its types do not know that `false` is
 * allowed here.
 */
const withoutRetry: object = { retry: false }

type Broker = Awaited<ReturnType<typeof rascal.BrokerAsPromised.create>>

/** The name under which the broker is configured in Rascal. The virtual host itself comes from the address. */
const vhost = 'relay'

/**
 * A connection that Rascal opens, by its settings for addresses, TLS and options, and then leaves to us: it does not
 * reconnect it, nor watch it.
 *
 * Rascal cannot be created without a connection of its own, which it would keep and reconnect for nothing; it is shut
 * down as soon as ours is open.
 *
 * When the signal is aborted before it is open, its sockets are destroyed and nothing is awaited any more, whatever the
 * broker says or does not say.
 *
 * @throws OutboxError `broker_unavailable`.
 */
export const openConnection = async (
  rabbitmqUrl: string,
  name: string,
  signal: AbortSignal = new AbortController().signal,
): Promise<Connection> => {
  const sockets = new AbortController()
  const unwatch = onAbort(signal, () => sockets.abort())
  const config = {
    vhosts: {
      [vhost]: {
        connection: {
          url: rabbitmqUrl,
          options: { heartbeat: heartbeatSeconds },
          ...withoutRetry,
          // Without noDelay the last frames of a small batch wait for the broker's acknowledgement of those before.
          socketOptions: {
            timeout: connectTimeoutMs,
            noDelay: true,
            signal: sockets.signal,
            clientProperties: { connection_name: name },
          },
        },
      },
    },
  }
  try {
    const broker = await createInTime(rascal.BrokerAsPromised.create(config), sockets.signal)
    // Its own connection may fall before it is shut down; without a listener that would end the process.
    broker.on('error', () => {})
    try {
      const connection: unknown = await unlessAborted(sockets.signal, broker.connect(vhost))
      if (!isConnection(connection)) throw new Error('rascal gave something else than a connection of amqplib')
      gatherWrites(socketOf(connection))
      return connection
    } finally {
      // From here on Rascal would take a loss for one that it has to handle, and throw where nobody can catch it.
      unwatch()
      await lossesHandled()
      await within(shutdownTimeoutMs, broker.shutdown())
    }
  } catch (cause) {
    unwatch()
    await shutDownFailed(cause)
    throw new OutboxError('broker_unavailable', withoutRascalsWords(reasonOf(cause), rabbitmqUrl), { cause })
  }
}

/**
 * Rascal handles the loss of its connection in an immediate, which throws where nobody can catch it if the broker was shut
 * down just before. Both connections fall together, so a loss that is known by now is handled first: it may be queued
 * behind the first of these two turns, not behind the second.
 */
const lossesHandled = async (): Promise<void> => {
  await setImmediate()
  await setImmediate()
}

/** Rascal waits for ever for an answer to what it closes; a broker that comes too late is shut down again. */
const createInTime = async (creating: Promise<Broker>, signal: AbortSignal): Promise<Broker> => {
  const shutDownLate = () => void creating.then((late) => late.shutdown(), shutDownFailed)
  try {
    if (await within(createTimeoutMs, unlessAborted(signal, creating))) return await creating
  } catch (error) {
    if (signal.aborted) shutDownLate()
    throw error
  }
  shutDownLate()
  throw new Error(`no answer within ${createTimeoutMs} ms`)
}

/** Rascal need not notice that its socket was destroyed, so nobody waits for it. */
const unlessAborted = <T>(signal: AbortSignal, work: Promise<T>): Promise<T> => {
  const aborted = Promise.withResolvers<never>()
  onAbort(signal, () => aborted.reject(new Error('it was given up')))
  return Promise.race([work, aborted.promise])
}

/** Rascal's types promise amqplib's promise API; what comes is a connection of its callback API. */
const isConnection = (value: unknown): value is Connection =>
  typeof value === 'object' && value !== null && 'createConfirmChannel' in value && 'connection' in value

/** A broker that could not be brought up hangs on its error, under a symbol, with a timer that keeps the process alive. */
const shutDownFailed = async (cause: unknown): Promise<void> => {
  if (!(cause instanceof Error) || !('broker' in cause) || typeof cause.broker !== 'symbol') return
  const broker: unknown = Reflect.get(cause, cause.broker)
  if (typeof broker !== 'object' || broker === null || !('shutdown' in broker)) return
  if (typeof broker.shutdown === 'function') await broker.shutdown()
}

/** Rascal puts the address with all its options before what amqplib said; the address is shown beside the reason. */
const withoutRascalsWords = (reason: string, rabbitmqUrl: string): string => {
  const said = reason.split('Original message was:').at(-1)?.trim()
  return said === undefined || said === '' ? `no connection to ${withoutPassword(rabbitmqUrl)}` : said
}
