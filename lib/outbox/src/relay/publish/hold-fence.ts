import type { Channel, Connection } from 'amqplib/callback_api'
import { OutboxError, reasonOf } from '../../errors.ts'

/**
 * Declares the lane's exclusive queue on the connection, which only one connection can have. So the heir of a lane cannot
 * publish before RabbitMQ has closed its former owner's connection, and what that one still writes goes nowhere: also when
 * the owner was frozen between its last look at Postgres and its write.
 *
 * @throws OutboxError `fence_held` while another connection has the queue.
 */
export const holdFence = async (connection: Connection, fence: string): Promise<void> => {
  const queue = `outbox.lane.${fence}`
  const channel = await openChannel(connection)
  const declared = Promise.withResolvers<void>()
  channel.on('error', declared.reject)
  channel.on('close', () => declared.reject(new Error('the channel was closed')))
  channel.assertQueue(queue, { exclusive: true, durable: false }, (error: Error | null) =>
    error === null ? declared.resolve() : declared.reject(error),
  )
  try {
    await declared.promise
    channel.close(() => {})
  } catch (cause) {
    const reason = `the lane's former owner still holds the queue ${queue}: ${reasonOf(cause)}`
    throw new OutboxError('fence_held', reason, { cause })
  }
}

const openChannel = (connection: Connection): Promise<Channel> => {
  const opened = Promise.withResolvers<Channel>()
  try {
    const channel: Channel = connection.createChannel((error: Error | null) =>
      error === null ? opened.resolve(channel) : opened.reject(error),
    )
  } catch (cause) {
    opened.reject(new OutboxError('broker_unavailable', `no channel: ${reasonOf(cause)}`, { cause }))
  }
  return opened.promise
}
