import type { Connection } from 'amqplib/callback_api'
import { OutboxError, reasonOf } from '../../errors.ts'
import type { RegisteredLane } from '../../register/find-or-add-lane.ts'
import type { Observe } from '../observation.ts'
import { within } from '../within.ts'
import type { BrokerLink } from './broker-link.ts'
import { type ConfirmChannel, openConfirmChannel } from './confirm-channel.ts'
import { fenceNames } from './fence-names.ts'
import { answerOf, freeFence, holdFence } from './hold-fence.ts'
import { isLastTaken } from './no-channel.ts'

/**
 * The channel that a lane publishes on, another one after it was closed. Each lane has its own: a bad row makes the
 * broker close the channel, and that must be no other lane's trouble.
 */
export type LaneChannel = {
  /**
   * The former one is waited for: RabbitMQ keeps the order of what comes by one channel, and not of what comes by two.
   *
   * @throws OutboxError `broker_unavailable`, or `fence_held` while a key lane's former owner may still publish.
   */
  open: () => Promise<ConfirmChannel>
  /** Waits until nothing is on its way by a channel that was given up; the connection is dropped if that takes long. */
  clear: () => Promise<void>
  close: () => void
  /**
   * Closes it, when nothing is in flight, and lets the lane's next owner publish at once. False if that one has to wait
   * for the end of the connection, as where RabbitMQ does not answer.
   */
  letGo: () => Promise<boolean>
}

type LaneChannelMeans = {
  /** Tells the database apart from all others. */
  database: string
  link: BrokerLink
  observe: Observe
}

/**
 * How long a lane waits for the queue of the former name. Whoever had the lane before us lost it to us in Postgres; if
 * it is frozen, RabbitMQ closes its connection after two heartbeats of 5 s. Later than that it is a relay of the
 * database that ours is a copy of, or of a copy of ours, and no business of this lane.
 */
const formerOwnerMs = 30_000

/** RabbitMQ closes a channel when it has taken all that came before. How long that may take, milliseconds. */
const clearMs = 5_000

/** How long it may take to close the last one and to free the fence, milliseconds: longer, and the heir waits as well. */
const letGoMs = 5_000

/**
 * How long it may take to open a channel, with its fence, milliseconds. A RabbitMQ that is short of memory, or waits for
 * another node of its own, may not answer for ever, and goes on with its heartbeats.
 */
const openMs = 15_000

export const createLaneChannel = (
  lane: RegisteredLane,
  means: LaneChannelMeans,
  now = () => performance.now(),
): LaneChannel => {
  const { database, link, observe } = means
  const { own, former } = fenceNames(lane, database)
  let current: ConfirmChannel | null = null
  /** The connection of the current channel. */
  let carrier: Connection | null = null
  let fenced: Connection | null = null
  let formerHeldSinceMs: number | null = null
  let isTold = false
  let closed = false

  const holdOrTell = async (connection: Connection, queue: string): Promise<void> => {
    try {
      await holdFence(connection, queue)
    } catch (error) {
      if (isHeld(error) && !isTold) {
        isTold = true
        observe({ kind: 'relay.fenced', lane: lane.name, queue })
      }
      throw error
    }
  }

  /** Relays of the version before know only this queue, so it keeps them and us apart while both are there. */
  const holdFormer = async (connection: Connection): Promise<void> => {
    try {
      await holdOrTell(connection, former)
    } catch (error) {
      if (!isHeld(error)) throw error
      formerHeldSinceMs ??= now()
      if (now() - formerHeldSinceMs < formerOwnerMs) throw error
    }
  }

  const tellWhy = (reason: string) => {
    if (!closed) observe({ kind: 'broker.channel-closed', reason })
  }

  const openOn = async (connection: Connection): Promise<ConfirmChannel> => {
    if (lane.kind === 'key' && fenced !== connection) {
      await holdOrTell(connection, own)
      await holdFormer(connection)
      fenced = connection
      isTold = false
    }
    return openConfirmChannel(connection, tellWhy, () => link.faultOf(connection))
  }

  const clear = async (): Promise<void> => {
    if (current === null || carrier === null || !current.closed()) return
    if (await within(clearMs, current.gone)) return
    await link.drop(`RabbitMQ did not close a channel within ${clearMs} ms`, carrier)
  }

  const letGo = async (): Promise<boolean> => {
    try {
      if (current !== null && !(await current.letGo())) return false
      // After that: whoever has the queue publishes. A connection that is gone has none.
      if (lane.kind === 'key' && link.up()) {
        for (const queue of [own, former]) await freeFence(link.connection(), queue)
      }
      return true
    } catch (error) {
      if (error instanceof OutboxError) return false
      throw error
    }
  }

  return {
    open: async () => {
      if (current !== null && !current.closed()) return current
      await clear()
      // A lane does not wait for a broker: it may have to be given up.
      const connection = link.connection()
      try {
        current = await answered(openOn(connection))
        carrier = connection
        return current
      } catch (error) {
        // A connection that answers is kept, and so is one that has no channel left: other lanes publish on it. One that
        // gives none otherwise is worth nothing, and it may have fallen before anybody listened to it.
        const isOfUse = error instanceof OutboxError && (answerOf(error.cause) !== null || isLastTaken(error.cause))
        // Another lane may have found out before, and there may be a new one.
        if (!isOfUse) await link.drop(reasonOf(error), connection)
        throw error
      }
    },
    clear,
    close: () => {
      closed = true
      current?.abandon(new OutboxError('broker_lost', 'the lane was given up before the confirm came'))
    },
    letGo: async () => {
      closed = true
      const lettingGo = letGo()
      return (await within(letGoMs, lettingGo)) && lettingGo
    },
  }
}

const isHeld = (error: unknown): boolean => error instanceof OutboxError && error.code === 'fence_held'

const answered = async <Answer>(opening: Promise<Answer>): Promise<Answer> => {
  if (await within(openMs, opening)) return opening
  throw new OutboxError('broker_unavailable', `RabbitMQ opened no channel within ${openMs} ms`)
}
