import type { Connection } from 'amqplib/callback_api'
import { OutboxError, reasonOf, withoutPassword } from '../../errors.ts'
import type { Observe } from '../observation.ts'
import { hangUp } from './hang-up.ts'
import { answerOf } from './hold-fence.ts'
import { openConnection } from './open-connection.ts'
import { createTurns, type Turns } from './turns.ts'

/** The relay's own connection to the broker. */
export type BrokerLink = {
  /**
   * Opens the connection, if there is none.
   *
   * @throws OutboxError `broker_unavailable`.
   */
  connect: () => Promise<Connection>
  /**
   * The connection to publish on, if there is one.
   *
   * @throws OutboxError `broker_unavailable`.
   */
  connection: () => Connection
  up: () => boolean
  /** The broker takes no messages for now. */
  blocked: () => boolean
  /**
   * What the broker closed a connection for that was this link's; null if it fell otherwise, or by somebody's order, as
   * where the broker is stopped.
   */
  faultOf: (connection: Connection) => string | null
  /** Who may have messages in flight on it. */
  turns: Turns
  /** Calls back whenever the connection came up or fell, or takes messages again; returns what ends that. */
  watch: (onChange: () => void) => () => void
  /** Closes the connection, or only this one, if it is up, and tells why; the next `connect` opens another one. */
  drop: (reason: string, only?: Connection) => Promise<void>
  /** Closes it for good. */
  close: () => Promise<void>
}

type BrokerLinkOptions = {
  rabbitmqUrl: string
  name: string
  observe: Observe
}

/** RabbitMQ's loss is noticed within some 10 s, and so is by RabbitMQ that of a relay that was frozen. */
const heartbeatSeconds = 5

export const createBrokerLink = ({ rabbitmqUrl, name, observe }: BrokerLinkOptions): BrokerLink => {
  const address = withoutPassword(rabbitmqUrl)
  let connection: Connection | null = null
  let opening: Promise<Connection> | null = null
  let giveUpOpening = new AbortController()
  let blockedOne: Connection | null = null
  const faults = new WeakMap<Connection, string>()
  let closed = false
  const watchers = new Set<() => void>()
  const onChange = () => {
    for (const watcher of watchers) watcher()
  }

  const open = async (): Promise<Connection> => {
    // One of its own each time: an open connection is closed in order.
    giveUpOpening = new AbortController()
    const opened = await openConnection(rabbitmqUrl, {
      name: `outbox relay ${name}`,
      heartbeatSeconds,
      signal: giveUpOpening.signal,
    })
    let reason = 'the connection was closed'
    opened.on('error', (error) => {
      reason = reasonOf(error)
      // Of the broker alone it has a reply code. For those of an order (CONNECTION_FORCED) amqplib emits no error.
      if (answerOf(error) !== null) faults.set(opened, reason)
    })
    opened.on('close', (error) => {
      if (connection !== opened) return
      connection = null
      observe({ kind: 'broker.lost', address, reason: error === undefined ? reason : reasonOf(error) })
      onChange()
    })
    opened.on('blocked', (why) => {
      blockedOne = opened
      observe({ kind: 'broker.blocked', reason: why })
    })
    opened.on('unblocked', () => {
      blockedOne = null
      observe({ kind: 'broker.unblocked' })
      onChange()
    })
    if (closed) {
      await hangUp(opened)
      throw new OutboxError('relay_misused', 'the relay was stopped')
    }
    connection = opened
    observe({ kind: 'broker.connected', address })
    onChange()
    return opened
  }

  const drop = async (reason: string | null, only: Connection | null = connection) => {
    const closing = connection
    if (closing === null || closing !== only) return
    connection = null
    if (reason !== null) observe({ kind: 'broker.lost', address, reason })
    onChange()
    await hangUp(closing)
  }

  return {
    up: () => connection !== null,
    blocked: () => connection !== null && blockedOne === connection,
    faultOf: (one) => faults.get(one) ?? null,
    turns: createTurns(),
    connect: async () => {
      if (closed) throw new OutboxError('relay_misused', 'the relay was stopped')
      if (connection !== null) return connection
      opening ??= open().finally(() => {
        opening = null
      })
      return opening
    },
    connection: () => {
      if (connection === null) throw new OutboxError('broker_unavailable', 'there is no connection to RabbitMQ for now')
      return connection
    },
    watch: (watcher) => {
      watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
    drop,
    close: async () => {
      closed = true
      if (opening !== null) giveUpOpening.abort()
      await drop(null)
    },
  }
}
