import { expectTransaction } from '../adapters/expect-queryable.ts'
import type { EntityManagerLike } from '../adapters/mikro-orm.ts'
import type { Queryable } from '../adapters/queryable.ts'
import { transactionOf } from '../adapters/transaction-of.ts'
import { OutboxError } from '../errors.ts'
import { nameOfKind } from '../values/name-of-kind.ts'
import { expectOptions, expectWhole, largestInteger, numberOrKind } from '../option-checks.ts'
import { insertMessages } from './insert-messages.ts'
import { checkMessage, type OutboxMessage } from './message.ts'

/** Where messages go and how large they may be. */
export type EnqueueOptions = {
  /** The lane's number, as `registerLane` gives it: 1 unless given, the lane `default` that is always relayed. */
  lane?: number | undefined
  /** The most bytes of a payload, as JSON if it is no bytes, from 1 to 128 MiB: 1 MiB unless given. */
  maxPayloadBytes?: number | undefined
}

const defaults = { lane: 1, maxPayloadBytes: 1024 * 1024 } satisfies EnqueueOptions

/**
 * RabbitMQ takes no larger message, unless it is told to (from 4.0 on none above 16 MiB), and bytes are twice as much text
 * on their way to Postgres.
 */
const largestPayloadBytes = 128 * 1024 * 1024

/**
 * Writes messages in the caller's transaction, 16 MiB of them a statement: they are published once it commits, and
 * never if it does not. `tx` is MikroORM's `EntityManager` in a transaction, whose pending changes need no flush before
 * (messages refer to no table), or a `pg` client in a transaction, or what runs statements for another library. No
 * messages: nothing happens.
 *
 * @throws OutboxError `not_in_transaction` outside a transaction; `message_invalid` for a message that could not be
 * published; `lane_invalid`; `option_invalid`; `right_missing`.
 */
export const enqueue = async (
  tx: EntityManagerLike | Queryable,
  messages: OutboxMessage | readonly OutboxMessage[],
  options: EnqueueOptions = {},
): Promise<void> => {
  expectTransaction(tx)
  const { lane, maxPayloadBytes } = checkOptions(options)
  const list = isList(messages) ? messages : [messages]
  if (list.length === 0) return
  // Not `map`, which passes over the holes of a list.
  const rows = Array.from(list, (message, index) =>
    checkMessage(
      message,
      list.length === 1 ? 'the message' : `message ${index + 1} of ${list.length}`,
      maxPayloadBytes,
    ),
  )
  await insertMessages(await transactionOf(tx, 'outbox_message in row exclusive mode', 'enqueue'), lane, rows)
}

const checkOptions = (options: EnqueueOptions): typeof defaults => {
  expectOptions('enqueue', Object.keys(defaults), options)
  const { lane = defaults.lane, maxPayloadBytes = defaults.maxPayloadBytes } = options
  if (!(Number.isInteger(lane) && lane >= 1 && lane <= largestInteger)) {
    throw new OutboxError('lane_invalid', `lane: expected the number of a lane, got ${numberOrKind(lane)}`)
  }
  expectWhole('maxPayloadBytes', maxPayloadBytes, 1, largestPayloadBytes)
  return { lane, maxPayloadBytes }
}

const isList = (messages: OutboxMessage | readonly OutboxMessage[]): messages is readonly OutboxMessage[] =>
  nameOfKind(messages) === 'array'
