import type { EntityManagerLike } from '../adapters/mikro-orm.ts'
import type { Queryable } from '../adapters/queryable.ts'
import { transactionOf } from '../adapters/transaction-of.ts'
import { OutboxError } from '../errors.ts'
import { didYouMean } from '../did-you-mean.ts'
import { insertMessages } from './insert-messages.ts'
import { checkMessage, type OutboxMessage } from './message.ts'
import { nameOfKind } from './name-of-kind.ts'

/** Where messages go and how large they may be. */
export type EnqueueOptions = {
  /** The lane's number, as `registerLane` gives it: 1 unless given, the lane `default` that is always relayed. */
  lane?: number
  /** The most bytes of a payload, as JSON if it is no bytes, from 1 to 128 MiB: 1 MiB unless given. */
  maxPayloadBytes?: number
}

const defaults = { lane: 1, maxPayloadBytes: 1024 * 1024 } satisfies EnqueueOptions

/** Numbers of lanes are of Postgres' type integer. */
const lastLane = 2 ** 31 - 1

/** RabbitMQ takes no larger message, unless it is told to, and bytes are twice as much text on their way to Postgres. */
const largestPayloadBytes = 128 * 1024 * 1024

/**
 * Writes messages in the caller's transaction, 16 MiB of them a statement: they are published once it commits, and
 * never if it does not. `tx` is MikroORM's `EntityManager` in a transaction, whose pending changes need no flush before
 * (messages refer to no table), or a `pg` client in a transaction, or what runs statements for another library. No
 * messages: nothing happens.
 *
 * @throws OutboxError `not_in_transaction` outside a transaction; `message_invalid` for a message that could not be
 * published; `lane_invalid`; `option_invalid`.
 */
export const enqueue = async (
  tx: EntityManagerLike | Queryable,
  messages: OutboxMessage | readonly OutboxMessage[],
  options: EnqueueOptions = {},
): Promise<void> => {
  const { lane, maxPayloadBytes } = checkOptions(options)
  const list = isList(messages) ? messages : [messages]
  if (list.length === 0) return
  const rows = list.map((message, index) =>
    checkMessage(
      message,
      list.length === 1 ? 'the message' : `message ${index + 1} of ${list.length}`,
      maxPayloadBytes,
    ),
  )
  await insertMessages(await transactionOf(tx, 'outbox_message in row exclusive mode', 'enqueue'), lane, rows)
}

const checkOptions = (options: EnqueueOptions): Required<EnqueueOptions> => {
  // From JavaScript anything may come.
  const given: unknown = options
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new OutboxError('option_invalid', `options: expected an object, got ${nameOfKind(given)}`)
  }
  const names = Object.keys(defaults)
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue
    throw new OutboxError('option_invalid', `${name}: enqueue has no such option${didYouMean(name, names)}`)
  }
  const { lane = defaults.lane, maxPayloadBytes = defaults.maxPayloadBytes } = options
  if (!isWholeFrom1To(lastLane, lane)) {
    throw new OutboxError('lane_invalid', `lane: expected the number of a lane, got ${shown(lane)}`)
  }
  if (!isWholeFrom1To(largestPayloadBytes, maxPayloadBytes)) {
    const expected = `a whole number of bytes from 1 to ${largestPayloadBytes}`
    throw new OutboxError('option_invalid', `maxPayloadBytes: expected ${expected}, got ${shown(maxPayloadBytes)}`)
  }
  return { lane, maxPayloadBytes }
}

const isWholeFrom1To = (last: number, value: number): boolean => Number.isInteger(value) && value >= 1 && value <= last

const shown = (value: unknown): string => (typeof value === 'number' ? String(value) : nameOfKind(value))

const isList = (messages: OutboxMessage | readonly OutboxMessage[]): messages is readonly OutboxMessage[] =>
  Array.isArray(messages)
