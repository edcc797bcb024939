import type { Connection } from 'amqplib/callback_api'
import { within } from '../within.ts'
import { isLinkClosing } from './confirm-channel.ts'
import { socketOf } from './gather-writes.ts'

/** How long a connection may take to say goodbye. A broker that is gone never answers. */
const closeTimeoutMs = 1_000

/**
 * Closes a connection, whatever state it is in. A broker that does not answer would keep the process alive until its
 * heartbeat fails.
 */
export const hangUp = async (closing: Connection): Promise<void> => {
  const goodbye = Promise.withResolvers<void>()
  try {
    closing.close(() => goodbye.resolve())
  } catch (error) {
    // It is gone already.
    if (isLinkClosing(error)) return
    throw error
  }
  if (await within(closeTimeoutMs, goodbye.promise)) return
  socketOf(closing).destroy(new Error('the broker did not answer'))
}
