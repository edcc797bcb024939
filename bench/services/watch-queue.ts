import { setTimeout as delay } from 'node:timers/promises'
import type { Place } from './open-place.ts'

/** How long a queue's count may lag behind the confirms, milliseconds. */
const countLagMs = 10_000

/**
 * Waits until the queue holds so many messages, and throws if it does not come to that: a rate at which messages are
 * lost or doubled is no answer.
 */
export const expectMessages = async ({ channel, queue }: Place, messages: number): Promise<void> => {
  const deadline = performance.now() + countLagMs
  for (;;) {
    const { messageCount } = await channel.checkQueue(queue)
    if (messageCount === messages) return
    if (performance.now() > deadline) throw new Error(`${queue} holds ${messageCount} messages, expected ${messages}`)
    await delay(50)
  }
}

/** Throws if a row of the lane is left. */
export const expectEmptyLane = async ({ db, lane }: Place): Promise<void> => {
  const { rowCount } = await db.query('select from outbox_message where lane = $1', [lane.id])
  if (rowCount !== 0) throw new Error(`${rowCount} rows are left in the lane ${lane.name}`)
}

/** Empties the queue every second until it is told to stop, so that its length is not what is measured. */
export const keepQueueShort = ({ channel, queue }: Place): (() => Promise<void>) => {
  const stopping = new AbortController()
  const keep = async () => {
    while (!stopping.signal.aborted) {
      await channel.purgeQueue(queue)
      await delay(1_000)
    }
  }
  const kept = keep()
  return async () => {
    stopping.abort()
    await kept
  }
}
