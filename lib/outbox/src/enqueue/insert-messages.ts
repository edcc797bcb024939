import type { Queryable } from '../adapters/queryable.ts'
import type { MessageRow } from './message.ts'

/** Writes all messages of one call with one statement, so that ids follow the order of the call. */
export const insertMessages = async (tx: Queryable, lane: number, rows: readonly MessageRow[]): Promise<void> => {
  const later = rows.some(({ delayMs }) => delayMs !== null)
  await tx.query(later ? insertSomeLaterSql : insertSql, [lane, JSON.stringify(rows)])
}

// JSON's null becomes SQL's on its way through the record, hence the coalesce: a message whose payload is null has one.
const source = `
  rows from (jsonb_to_recordset($2::jsonb) as (
    "messageId" uuid, exchange text, "routingKey" text, headers jsonb, payload jsonb, "delayMs" float8
  )) with ordinality
    as message (message_id, exchange, routing_key, headers, payload, delay_ms, position)`

const insertSql = `
  insert into outbox_message (lane, message_id, exchange, routing_key, headers, payload)
  select $1::int, message_id, exchange, routing_key, headers, coalesce(payload, 'null')
  from ${source}
  order by position`

const insertSomeLaterSql = `
  with message as materialized (
    select * from ${source}
  ), later as (
    insert into outbox_scheduled (lane, message_id, exchange, routing_key, headers, payload, available_at)
    select $1::int, message_id, exchange, routing_key, headers, coalesce(payload, 'null'),
      now() + delay_ms * interval '1 millisecond'
    from message
    where delay_ms is not null
    order by position
  )
  insert into outbox_message (lane, message_id, exchange, routing_key, headers, payload)
  select $1::int, message_id, exchange, routing_key, headers, coalesce(payload, 'null')
  from message
  where delay_ms is null
  order by position`
