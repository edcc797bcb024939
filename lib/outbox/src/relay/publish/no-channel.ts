import { OutboxError, reasonOf } from '../../errors.ts'

/** Why there is no channel, as the relay tells it. */
export const noChannel = (cause: unknown): OutboxError =>
  new OutboxError('broker_unavailable', `no channel: ${isLastTaken(cause) ? allTaken : reasonOf(cause)}`, { cause })

/** Whether it is the connection's channels that are few. It has no part in that: others publish on it. */
export const isLastTaken = (cause: unknown): boolean =>
  cause instanceof Error && cause.message === 'No channels left to allocate'

const allTaken =
  'all that the connection may have are taken. A relay needs one for each lane that it carries, and one more to take a ' +
  'lane of ordering keys over; channelMax in the address, or channel_max of RabbitMQ, allows fewer'
