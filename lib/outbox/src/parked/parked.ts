import { expectQueryable } from '../adapters/expect-queryable.ts'
import { isRefusal } from '../adapters/is-refusal.ts'
import { namingRights } from '../adapters/missing-right.ts'
import type { Queryable } from '../adapters/queryable.ts'
import { rowsOf } from '../adapters/rows-of.ts'
import { OutboxError } from '../errors.ts'
import { messageColumns } from '../message-columns.ts'
import { expectOptions, expectType, expectWhole, largestInteger, optionFault, unreadable } from '../option-checks.ts'
import { readColumns } from '../read-columns.ts'

/** A message that the broker refused too often. */
export type ParkedMessage = {
  /** Lane and id name it. */
  lane: number
  id: bigint
  messageId: string
  exchange: string
  routingKey: string
  orderingKey: string | null
  /** What the broker said last. */
  reason: string
  /** How often it was refused, or the one that asked for their destination on behalf of all. */
  attempts: number
  createdAt: Date
  parkedAt: Date
}

/** What names a parked message; a `ParkedMessage` will do. */
export type ParkedId = Pick<ParkedMessage, 'lane' | 'id'>

/**
 * Parked messages by lane and id, 100 unless `limit` is given. `after` is the last one of the page before.
 *
 * @throws OutboxError `option_invalid`, `row_invalid`, `right_missing`.
 */
export const listParked = async (
  db: Queryable,
  options: { limit?: number | undefined; after?: ParkedId | undefined } = {},
): Promise<ParkedMessage[]> => {
  expectQueryable(db)
  expectOptions('listParked', ['limit', 'after'], options)
  const { limit = 100, after = { lane: 0, id: 0n } } = options
  expectWhole('limit', limit, 1, largestInteger)
  expectId('after', after)
  const rows = await rowsOf(namingRights(db, 'listParked'), listSql, [limit, after.lane, String(after.id)])
  return rows.map(parse)
}

/**
 * Puts a message back into its lane, to be tried at once. One with an ordering key comes back under its old id, before
 * its successors. False if it is not parked.
 *
 * Locks: the parked row, so of two calls one moves it.
 *
 * @throws OutboxError `option_invalid`, `right_missing`, and `id_taken` where the ids of the outbox were set back, and
 * a new message has the one that it would get.
 */
export const retryParked = async (db: Queryable, parked: ParkedId): Promise<boolean> => {
  expectQueryable(db)
  expectId('parked', parked)
  try {
    const rows = await rowsOf(namingRights(db, 'retryParked'), retrySql, [parked.lane, String(parked.id)])
    return rows.length === 1
  } catch (cause) {
    throw isRefusal(cause, uniqueViolation, idOfLane) ? idTaken(parked, cause) : cause
  }
}

const uniqueViolation = '23505'

/** Other constraints that somebody gave the table, and what its triggers violate, tell of themselves. */
const idOfLane = 'outbox_message_pkey'

const idTaken = ({ lane, id }: ParkedId, cause: unknown): OutboxError =>
  new OutboxError(
    'id_taken',
    `lane ${lane} has a message already with the id that the parked message ${id} would get: ids were set back; if it ` +
      'has an ordering key it can be retried when that message is gone, else at once, for the next id; or be dropped',
    { cause },
  )

/**
 * Gives a message up, and sets free the key that it held. False if it is not parked.
 *
 * @throws OutboxError `option_invalid`, `right_missing`.
 */
export const dropParked = async (db: Queryable, parked: ParkedId): Promise<boolean> => {
  expectQueryable(db)
  expectId('parked', parked)
  const rows = await rowsOf(namingRights(db, 'dropParked'), dropSql, [parked.lane, String(parked.id)])
  return rows.length === 1
}

/** A whole `ParkedMessage` will do, so there may be other members. */
const expectId = (option: string, given: ParkedId): void => {
  expectType(option, given, 'object')
  const { lane, id } = readId(option, given)
  expectWhole(`${option}.lane`, lane, 0, largestInteger)
  expectType(`${option}.id`, id, 'bigint')
  if (id < 0n || id >= 2n ** 63n) throw optionFault(`${option}.id`, 'expected the id of a parked message')
}

const readId = (option: string, given: ParkedId): ParkedId => {
  try {
    return { lane: given.lane, id: given.id }
  } catch (cause) {
    throw unreadable(option, cause)
  }
}

const parse = (row: unknown): ParkedMessage => {
  const parked = readColumns(row, 'outbox_parked', {
    lane: 'string',
    id: 'string',
    message_id: 'string',
    exchange: 'string',
    routing_key: 'string',
    ordering_key: 'string?',
    reason: 'string',
    attempts: 'string',
    created_at: 'string',
    parked_at: 'string',
  })
  return {
    lane: Number(parked.lane),
    id: BigInt(parked.id),
    messageId: parked.message_id,
    exchange: parked.exchange,
    routingKey: parked.routing_key,
    orderingKey: parked.ordering_key,
    reason: parked.reason,
    attempts: Number(parked.attempts),
    createdAt: new Date(parked.created_at),
    parkedAt: new Date(parked.parked_at),
  }
}

// All as text: drivers read numbers and times each in their own way.
const listSql = `
  select lane::text, id::text, message_id::text, exchange, routing_key, ordering_key, reason, attempts::text,
    to_json(created_at) #>> '{}' as created_at, to_json(parked_at) #>> '{}' as parked_at
  from outbox_parked
  where (lane, id) > ($2::int, $3::bigint)
  order by outbox_parked.lane, outbox_parked.id
  limit $1`

const columns = `${messageColumns}, created_at`

// A row without a key gets a new id: its relay may have raised the floor above the old one.
const retrySql = `
  with back as (
    delete from outbox_parked where lane = $1 and id = $2 returning lane, id, ${columns}
  ), keyed as (
    insert into outbox_message (lane, id, ${columns}) overriding system value
    select lane, id, ${columns} from back where ordering_key is not null
  ), unkeyed as (
    insert into outbox_message (lane, ${columns})
    select lane, ${columns} from back where ordering_key is null
  )
  select lane from back`

// The lane's relay may sleep over the rows of the key that this one held.
const dropSql = `
  with gone as (delete from outbox_parked where lane = $1 and id = $2 returning lane)
  select pg_notify('outbox_lane_' || lane, '')::text from gone`
