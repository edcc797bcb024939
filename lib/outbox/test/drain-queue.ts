import type { Channel, ConsumeMessage } from 'amqplib'

/**
 * Takes all messages that are ready off a queue without other consumers, in its order. To ask for each of them would
 * take many times as long.
 */
export const drainQueue = async (channel: Channel, queue: string): Promise<ConsumeMessage[]> => {
  const taken: ConsumeMessage[] = []
  const { messageCount } = await channel.checkQueue(queue)
  if (messageCount === 0) return taken
  const all = Promise.withResolvers<void>()
  const take = (message: ConsumeMessage | null) => {
    if (message === null) {
      all.reject(new Error(`${queue} was deleted while it was emptied`))
      return
    }
    taken.push(message)
    if (taken.length === messageCount) all.resolve()
  }
  const { consumerTag } = await channel.consume(queue, take, { noAck: true })
  await all.promise
  // What comes before the answer was taken off as well.
  await channel.cancel(consumerTag)
  return taken
}
