import { Socket } from 'node:net'
import type { Connection } from 'amqplib/callback_api'
import { OutboxError, reasonOf, withoutPassword } from '../../errors.ts'
import type { Observe } from '../observation.ts'
import { within } from '../within.ts'
import { type ConfirmChannel, openConfirmChannel } from './confirm-channel.ts'
import { openConnection } from './open-connection.ts'

/** The relay's own connection to the broker, with one channel at a time. */
export type BrokerLink = {
  /**
   * The channel to publish on; opens it, and the connection, when there is none.
   *
   * @throws OutboxError `broker_unavailable`.
   */
  channel: () => Promise<ConfirmChannel>
  /** The broker takes no messages for now. */
  blocked: () => boolean
  close: () => Promise<void>
}

type BrokerLinkOptions = {
  rabbitmqUrl: string
  lane: string
  observe: Observe
  onLost: () => void
  onUnblocked: () => void
}

/** How long a connection may take to say goodbye. A broker that is gone never answers. */
const closeTimeoutMs = 1_000

export const createBrokerLink = (options: BrokerLinkOptions): BrokerLink => {
  const { rabbitmqUrl, lane, observe } = options
  const address = withoutPassword(rabbitmqUrl)
  let connection: Connection | null = null
  let channel: ConfirmChannel | null = null
  let blockedOne: Connection | null = null
  let closed = false

  const open = async (): Promise<Connection> => {
    const opened = await openConnection(rabbitmqUrl, `outbox relay ${lane}`)
    let reason = 'the connection was closed'
    opened.on('error', (error) => {
      reason = reasonOf(error)
    })
    opened.on('close', (error) => {
      if (connection !== opened) return
      connection = null
      if (closed) return
      observe({ kind: 'broker.lost', address, reason: error === undefined ? reason : reasonOf(error) })
      options.onLost()
    })
    opened.on('blocked', (why) => {
      blockedOne = opened
      observe({ kind: 'broker.blocked', reason: why })
    })
    opened.on('unblocked', () => {
      blockedOne = null
      observe({ kind: 'broker.unblocked' })
      options.onUnblocked()
    })
    if (closed) {
      opened.close()
      throw new OutboxError('relay_misused', 'the relay was stopped')
    }
    observe({ kind: 'broker.connected', address })
    return opened
  }

  return {
    blocked: () => connection !== null && blockedOne === connection,
    channel: async () => {
      if (closed) throw new OutboxError('relay_misused', 'the relay was stopped')
      connection ??= await open()
      if (channel !== null && !channel.closed()) return channel
      const link = connection
      try {
        channel = await openConfirmChannel(link, (reason) => {
          if (!closed) observe({ kind: 'broker.channel-closed', reason })
        })
        return channel
      } catch (error) {
        // A connection that gives no channel is worth nothing, and it may have fallen before anybody listened to it.
        connection = null
        link.close(() => {})
        throw error
      }
    },
    close: async () => {
      closed = true
      channel?.abandon(new OutboxError('broker_lost', 'the relay was stopped before the confirm came'))
      const closing = connection
      if (closing === null) return
      const goodbye = Promise.withResolvers<void>()
      closing.close(() => goodbye.resolve())
      if (!(await within(closeTimeoutMs, goodbye.promise))) hangUp(closing)
    },
  }
}

/** Ends a connection whose broker does not answer, which would keep the process alive until its heartbeat fails. */
const hangUp = ({ connection }: Connection): void => {
  const socket: unknown = Reflect.get(connection, 'stream')
  if (socket instanceof Socket) socket.destroy(new Error('the broker did not answer'))
}
