import { isRefusal } from '../adapters/is-refusal.ts'
import type { Queryable } from '../adapters/queryable.ts'
import { OutboxError } from '../errors.ts'
import { orderingLockClass } from '../register/ordering-lock.ts'
import { messageColumns } from '../message-columns.ts'
import type { MessageRow } from './message.ts'

/**
 * So many characters of messages go in one statement. All of a list in one text is more than V8 makes from 512 MB on, and
 * each of these is in memory a few times, here and at Postgres. A text of 16 MiB takes Postgres far longer than the way.
 */
const mostCharacters = 16 * 1024 * 1024

/**
 * Writes all messages of one call, a small list with one statement and a large one with several, so that ids follow the
 * order of the call.
 *
 * @throws OutboxError `lane_invalid` for messages without a key and a lane of keys.
 */
export const insertMessages = async (tx: Queryable, lane: number, rows: readonly MessageRow[]): Promise<void> => {
  const keys = rows.map(({ orderingKey }) => orderingKey).filter((key) => key !== null)
  // Before ids are drawn: whoever has the key draws its ids and commits before the next one draws any.
  if (keys.length > 0) await tx.query(lockKeysSql, [orderingLockClass, keys])
  const later = rows.some(({ delayMs, availableAt }) => delayMs !== null || availableAt !== null)
  const sql = later ? insertSomeLaterSql : insertSql
  try {
    for (const texts of inPieces(rows.values().map(jsonOf), mostCharacters)) {
      await tx.query(sql, [lane, `[${texts.join(',')}]`])
    }
  } catch (cause) {
    if (keys.length === rows.length || !isRefusal(cause, '23502', 'lane')) throw cause
    const chosen = 'is a lane of ordering keys, which enqueue chooses by itself'
    throw new OutboxError('lane_invalid', `lane: ${lane} ${chosen}`, { cause })
  }
}

/** The texts in their order, as many at a time as have `most` characters together, at least one. */
export function* inPieces(texts: Iterable<string>, most: number): Generator<string[]> {
  let piece: string[] = []
  let characters = 0
  for (const text of texts) {
    if (piece.length > 0 && characters + text.length > most) {
      yield piece
      piece = []
      characters = 0
    }
    piece.push(text)
    characters += text.length
  }
  if (piece.length > 0) yield piece
}

/** The payload is JSON text by now, and goes in as it is. What a message has not is left out: Postgres reads each member. */
const jsonOf = ({ payload, orderingKey, bytes, delayMs, availableAt, ...row }: MessageRow): string => {
  const given = {
    ...row,
    orderingKey: orderingKey ?? undefined,
    bytes: bytes ?? undefined,
    delayMs: delayMs ?? undefined,
    availableAt: availableAt ?? undefined,
  }
  return payload === null ? JSON.stringify(given) : `${JSON.stringify(given).slice(0, -1)},"payload":${payload}}`
}

/**
 * Locks: the keys, by their hash and in its order, until the transaction ends, so that two calls with the same keys wait
 * for each other and do not deadlock. Each is an entry in a table that all sessions of the server share.
 *
 * As text: some libraries, Prisma for one, read no column of the type void.
 */
const lockKeysSql = `
  select pg_advisory_xact_lock($1::int, key)::text
  from (select distinct hashtext(key) as key from unnest($2::text[]) as key order by 1) as keys`

// JSON's null becomes SQL's on its way through the record, hence the case: a message whose payload is null has one. Rows
// without a key would be found late in a lane of keys, so they have no lane there, which the tables refuse.
const source = `
  select
    case when "orderingKey" is null then key_lanes.without_key
      else key_lanes.ids[1 + abs(hashtext("orderingKey")::bigint) % cardinality(key_lanes.ids)] end as lane,
    message_id, exchange, routing_key, "orderingKey" as ordering_key, headers,
    case when bytes is null then coalesce(payload, 'null') end as payload, decode(bytes, 'hex') as bytes,
    coalesce("availableAt", statement_timestamp() + delay_ms * interval '1 millisecond') as available_at, position
  from rows from (json_to_recordset($2::text::json) as (
    "messageId" uuid, exchange text, "routingKey" text, "orderingKey" text, headers json, payload json, bytes text,
    "delayMs" float8, "availableAt" timestamptz
  )) with ordinality as message (
    message_id, exchange, routing_key, "orderingKey", headers, payload, bytes, delay_ms, "availableAt", position
  ),
  (
    select array_agg(id order by id) as ids, case when bool_or(id = $1::int) then null else $1::int end as without_key
    from outbox_lane where kind = 'key'
  ) as key_lanes`

// The list is text for the driver: one that is told that a parameter is json, as postgres.js is, writes the text as JSON
// again. Every plan that Postgres has for these reads the list as it is. It promises ids in order for the sake of
// `order by` alone.
const columns = `lane, ${messageColumns}`

const insertSql = `
  insert into outbox_message (${columns})
  select ${columns} from (${source}) as message
  order by position`

const insertSomeLaterSql = `
  with message as materialized (${source}), later as (
    insert into outbox_scheduled (${columns}, available_at)
    select ${columns}, available_at from message
    where available_at is not null
    order by position
  )
  insert into outbox_message (${columns})
  select ${columns} from message
  where available_at is null
  order by position`
