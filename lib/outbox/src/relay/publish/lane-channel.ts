import type { Connection } from 'amqplib/callback_api'
import { OutboxError } from '../../errors.ts'
import type { RegisteredLane } from '../../lane/find-or-add-lane.ts'
import type { Observe } from '../observation.ts'
import type { BrokerLink } from './broker-link.ts'
import { type ConfirmChannel, openConfirmChannel } from './confirm-channel.ts'
import { answerOf, holdFence } from './hold-fence.ts'

/**
 * The channel that a lane publishes on, another one after it was closed. Each lane has its own: a bad row makes the
 * broker close the channel, and that must be no other lane's trouble.
 */
export type LaneChannel = {
  /** @throws OutboxError `broker_unavailable`, or `fence_held` while a key lane's former owner may still publish. */
  open: () => Promise<ConfirmChannel>
  close: () => void
}

export const createLaneChannel = ({ kind, fence }: RegisteredLane, link: BrokerLink, observe: Observe): LaneChannel => {
  let current: ConfirmChannel | null = null
  let fenced: Connection | null = null
  let closed = false
  return {
    open: async () => {
      if (current !== null && !current.closed()) return current
      // A lane does not wait for a broker: it may have to be given up.
      const connection = link.connection()
      try {
        if (kind === 'key' && fenced !== connection) {
          await holdFence(connection, fence)
          fenced = connection
        }
        current = await openConfirmChannel(connection, (reason) => {
          if (!closed) observe({ kind: 'broker.channel-closed', reason })
        })
        return current
      } catch (error) {
        // A connection that answers is kept: other lanes publish on it. One that gives no channel is worth nothing, and it
        // may have fallen before anybody listened to it.
        const answered = error instanceof OutboxError && answerOf(error.cause) !== null
        if (!answered) await link.drop()
        throw error
      }
    },
    close: () => {
      closed = true
      current?.abandon(new OutboxError('broker_lost', 'the lane was given up before the confirm came'))
    },
  }
}
