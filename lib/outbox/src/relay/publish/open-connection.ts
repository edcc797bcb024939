import type { Connection } from 'amqplib/callback_api'
import type { BrokerConfig } from 'rascal'
import createConnection from 'rascal/lib/amqp/tasks/createConnection.js'
import configure, { type Configured } from 'rascal/lib/config/configure.js'
import { OutboxError, reasonOf, withoutPassword } from '../../errors.ts'
import { onAbort } from '../on-abort.ts'
import { within } from '../within.ts'
import { gatherWrites, socketOf } from './gather-writes.ts'

export type ConnectionOptions = {
  /** The connection's name, for people. */
  name: string
  /** A link without traffic is given up after two of these, by both ends, whatever the address says of a heartbeat. */
  heartbeatSeconds: number
  signal?: AbortSignal
}

/** Without a byte from the broker. */
const silenceTimeoutMs = 10_000

/** Connecting and the handshake. */
const openTimeoutMs = 15_000

/** The name under which the broker is configured in Rascal. The virtual host itself comes from the address. */
const vhost = 'ours'

/**
 * A connection that Rascal opens, by its settings for addresses, TLS and options, and that is ours from then on: nobody
 * else watches it or opens it again.
 *
 * When the signal is aborted before it is open, its socket is destroyed and nothing is awaited any more, whatever the
 * broker says or does not say.
 *
 * @throws OutboxError `broker_unavailable`.
 */
export const openConnection = async (
  rabbitmqUrl: string,
  { name, heartbeatSeconds, signal = new AbortController().signal }: ConnectionOptions,
): Promise<Connection> => {
  const socket = new AbortController()
  const givenUp = Promise.withResolvers<never>()
  const unwatch = onAbort(signal, () => givenUp.reject(new Error('it was given up')))
  try {
    const opening = connect(settings(rabbitmqUrl, { name, heartbeatSeconds, signal: socket.signal }))
    if (!(await within(openTimeoutMs, Promise.race([opening, givenUp.promise])))) {
      throw new Error(`no answer within ${openTimeoutMs} ms`)
    }
    const connection = await opening
    gatherWrites(socketOf(connection))
    return connection
  } catch (cause) {
    // amqplib need not notice that nobody waits any more, and would keep a connection that comes late.
    socket.abort()
    throw new OutboxError('broker_unavailable', withoutRascalsWords(reasonOf(cause), rabbitmqUrl), { cause })
  } finally {
    unwatch()
  }
}

/** As Rascal connects a virtual host, without the broker around it, which would have a connection of its own as well. */
const connect = async (config: BrokerConfig): Promise<Connection> => {
  const configured = Promise.withResolvers<Configured>()
  configure(config, (error, whole) => (error === null ? configured.resolve(whole) : configured.reject(error)))
  const connected = Promise.withResolvers<Connection>()
  createConnection((await configured.promise).vhosts[vhost] ?? {}, { connectionIndex: 0 }, (error, _, context) => {
    if (context.connection === undefined) connected.reject(error)
    else connected.resolve(context.connection)
  })
  return connected.promise
}

const settings = (rabbitmqUrl: string, { name, heartbeatSeconds, signal }: ConnectionOptions) => ({
  vhosts: {
    [vhost]: {
      connection: {
        url: withoutHeartbeat(rabbitmqUrl),
        options: { heartbeat: heartbeatSeconds },
        // Without noDelay the last frames of a small batch wait for the broker's acknowledgement of those before.
        socketOptions: {
          timeout: silenceTimeoutMs,
          noDelay: true,
          signal,
          clientProperties: { connection_name: name },
        },
      },
    },
  },
})

/**
 * What an address asks for goes before our settings, in Rascal. Its heartbeat must not: by ours the broker finds out that
 * we are frozen, and until then our exclusive queues are nobody else's.
 */
const withoutHeartbeat = (rabbitmqUrl: string): string => {
  const url = new URL(rabbitmqUrl)
  url.searchParams.delete('heartbeat')
  return url.href
}

/** Rascal puts the address with all its options before what amqplib said; the address is shown beside the reason. */
const withoutRascalsWords = (reason: string, rabbitmqUrl: string): string => {
  const said = reason.split('Original message was:').at(-1)?.trim()
  return said === undefined || said === '' ? `no connection to ${withoutPassword(rabbitmqUrl)}` : said
}
