import { randomUUID } from 'node:crypto'
import { OutboxError } from '../../errors.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import type { LaneRow } from '../read/lane-row.ts'
import type { ConfirmChannel } from './confirm-channel.ts'
import { type PublishMeans, sendRows } from './send-rows.ts'

/**
 * Asks the broker by a message that is nobody's: the default exchange gives it back, as no queue has its name, and a user
 * who may not write there has the channel closed, which is an answer as well. One that closes the connection over whatever
 * it is sent has none, and no row is to be blamed for that.
 *
 * @throws OutboxError `broker_lost` if it has none.
 */
export const expectAnswer = async (owned: OwnedLane, channel: ConfirmChannel, means: PublishMeans): Promise<void> => {
  const row = nobodysRow()
  const outcomes = await sendRows(owned, channel, [row], { ...means, onSend: null })
  const outcome = outcomes.get(row)
  // The lane is lost, or it has one.
  if (outcome?.kind !== 'unknown' || channel.fault()?.why === 'closed channel') return
  throw new OutboxError('broker_lost', 'RabbitMQ answers no message, not even one to a queue that is not there')
}

const nobodysRow = (): LaneRow => {
  const messageId = randomUUID()
  return {
    id: 0n,
    messageId,
    exchange: '',
    routingKey: `outbox.nobody.${messageId}`,
    orderingKey: null,
    headers: {},
    payload: 'null',
    size: 0,
    createdAt: 0,
  }
}
