import type { Channel, Connection } from 'amqplib/callback_api'
import { OutboxError, reasonOf } from '../../errors.ts'
import { noChannel } from './no-channel.ts'

/**
 * Declares the lane's exclusive queue on the connection, which only one connection can have. So the heir of a lane cannot
 * publish before RabbitMQ has closed its former owner's connection, and what that one still writes goes nowhere: also when
 * the owner was frozen between its last look at Postgres and its write.
 *
 * @throws OutboxError `fence_held` while another connection has the queue, `broker_unavailable` for any other reason.
 */
export const holdFence = async (connection: Connection, queue: string): Promise<void> => {
  const channel = await openChannel(connection)
  try {
    await answered(channel, (onAnswer) => channel.assertQueue(queue, { exclusive: true, durable: false }, onAnswer))
  } catch (cause) {
    if (answerOf(cause) === resourceLocked) {
      const reason = `another connection still holds the queue ${queue}: ${reasonOf(cause)}`
      throw new OutboxError('fence_held', reason, { cause })
    }
    throw new OutboxError('broker_unavailable', `the queue ${queue} was not declared: ${reasonOf(cause)}`, { cause })
  }
}

/**
 * Deletes that queue, so that the lane's next owner need not wait for the end of the connection.
 *
 * @throws OutboxError `broker_unavailable`.
 */
export const freeFence = async (connection: Connection, queue: string): Promise<void> => {
  const channel = await openChannel(connection)
  try {
    await answered(channel, (onAnswer) => channel.deleteQueue(queue, {}, onAnswer))
  } catch (cause) {
    // It was another connection's all the time.
    if (answerOf(cause) === resourceLocked) return
    throw new OutboxError('broker_unavailable', `the queue ${queue} was not deleted: ${reasonOf(cause)}`, { cause })
  }
}

/** The reply code of AMQP for a queue that is exclusive to another connection. */
const resourceLocked = 405

/** The code with which the broker refused something; null if it did not answer. */
export const answerOf = (cause: unknown): number | null =>
  cause instanceof Error && 'code' in cause && typeof cause.code === 'number' ? cause.code : null

/** Asks one thing on a channel and closes it; rejects with whatever kept the answer back. */
const answered = async (channel: Channel, ask: (onAnswer: (error: Error | null) => void) => void): Promise<void> => {
  const answer = Promise.withResolvers<void>()
  channel.on('error', answer.reject)
  channel.on('close', () => answer.reject(new Error('the channel was closed')))
  try {
    ask((error) => (error === null ? answer.resolve() : answer.reject(error)))
  } catch (error) {
    // The connection ended in the moment in which the channel was opened: then amqplib throws, and may tell it as well.
    answer.reject(error)
  }
  await answer.promise
  channel.close(() => {})
}

const openChannel = async (connection: Connection): Promise<Channel> => {
  const opened = Promise.withResolvers<Channel>()
  try {
    const channel: Channel = connection.createChannel((error: Error | null) =>
      error === null ? opened.resolve(channel) : opened.reject(error),
    )
    return await opened.promise
  } catch (cause) {
    throw noChannel(cause)
  }
}
