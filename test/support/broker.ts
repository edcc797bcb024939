import { connect, type Channel, type ConfirmChannel, type Options } from 'amqplib'

/** A message that was taken off a queue, its payload parsed. */
export type TakenMessage = {
  payload: unknown
  messageId: string | undefined
  headers: Record<string, unknown>
  redelivered: boolean
}

/** A connection of a test's own, to look into queues and to put messages there. */
export type Broker = {
  declareQueue: (queue: string, options?: Options.AssertQueue) => Promise<void>
  /** Has the exchange give the queue what comes with the routing key. */
  bindQueue: (queue: string, exchange: string, routingKey: string) => Promise<void>
  /** Messages that are ready; those that a consumer holds are not among them. */
  count: (queue: string) => Promise<number>
  /** Takes and acknowledges all messages that are ready. */
  takeAll: (queue: string) => Promise<TakenMessage[]>
  /** The payloads of all messages that are ready. They stay; none are in a queue that is not there. */
  look: (queue: string) => Promise<unknown[]>
  deleteQueue: (queue: string) => Promise<void>
  /** Publishes to a queue as JSON and waits for the confirm. */
  publish: (queue: string, payload: unknown, options?: Options.Publish) => Promise<void>
  close: () => Promise<void>
}

/** Connects to a broker, or a virtual host of it. */
export const openBroker = async (url: string): Promise<Broker> => {
  const connection = await connect(url)
  // A test that drops the virtual host ends the connection as well; what is asked of it later then fails by itself.
  connection.on('error', () => undefined)
  let isOpen = true
  connection.on('close', () => {
    isOpen = false
  })
  /** A channel each: asking for a queue that is not there closes the channel, and must not close the others'. */
  const onChannel = async <T>(ask: (channel: Channel) => Promise<T>): Promise<T> => {
    const channel = await connection.createChannel()
    channel.on('error', () => undefined)
    const answer = await ask(channel)
    await channel.close()
    return answer
  }
  return {
    declareQueue: (queue, options = { durable: true }) =>
      onChannel(async (channel) => {
        await channel.assertQueue(queue, options)
      }),
    bindQueue: (queue, exchange, routingKey) =>
      onChannel(async (channel) => {
        await channel.bindQueue(queue, exchange, routingKey)
      }),
    count: (queue) => onChannel(async (channel) => (await channel.checkQueue(queue)).messageCount),
    takeAll: (queue) =>
      onChannel(async (channel) => {
        const taken: TakenMessage[] = []
        for (;;) {
          const message = await channel.get(queue)
          if (message === false) return taken
          channel.ack(message)
          const { messageId, headers } = message.properties
          taken.push({
            payload: JSON.parse(message.content.toString('utf8')),
            messageId: typeof messageId === 'string' ? messageId : undefined,
            headers: { ...headers },
            redelivered: message.fields.redelivered,
          })
        }
      }),
    look: async (queue) => {
      const channel = await connection.createChannel()
      channel.on('error', () => undefined)
      const payloads: unknown[] = []
      try {
        for (;;) {
          const message = await channel.get(queue)
          if (message === false) break
          payloads.push(parsed(message.content))
        }
        // Closed without an ack, the channel gives them back.
        await channel.close()
      } catch (error) {
        if (!isNotFound(error)) throw error
      }
      return payloads
    },
    deleteQueue: (queue) =>
      onChannel(async (channel) => {
        await channel.deleteQueue(queue)
      }),
    publish: async (queue, payload, options = {}) => {
      const channel: ConfirmChannel = await connection.createConfirmChannel()
      channel.sendToQueue(queue, Buffer.from(JSON.stringify(payload)), { persistent: true, ...options })
      await channel.waitForConfirms()
      await channel.close()
    },
    close: async () => {
      if (isOpen) await connection.close()
    },
  }
}

/** Bytes that are no JSON are told as they are. */
const parsed = (content: Buffer): unknown => {
  const text = content.toString('utf8')
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const isNotFound = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'code' in error && error.code === 404
