import { OutboxError } from '../../errors.ts'

/** A row as it is published: the payload as JSON text, which nobody here looks into, or as bytes. */
export type LaneRow = {
  id: bigint
  messageId: string
  exchange: string
  routingKey: string
  orderingKey: string | null
  headers: Record<string, unknown>
  payload: string | Buffer
  /** When it was written, seconds since 1970. */
  createdAt: number
}

const columns = (payload: string, bytes: string): string =>
  `id, message_id, exchange, routing_key, ordering_key, headers, ${payload} as payload, ${bytes} as bytes,
      floor(extract(epoch from created_at))::float8 as created_at`

// The payload is left as text: parsing it here to write it out again would be the costliest part of a row.
export const laneColumns = columns('payload::text', 'bytes')

/** The same, but only rows for which one of the conditions holds have a payload. */
export const lightColumns = (isLightPayload: string, isLightBytes: string): string =>
  columns(`case when ${isLightPayload} then payload::text end`, `case when ${isLightBytes} then bytes end`)

/** Whether a row of `lightColumns` has none. */
export const isWithheld = (row: unknown): boolean => isRecord(row) && row.payload === null && row.bytes === null

/** Reads a row of `laneColumns`. */
export const parseLaneRow = (row: unknown): LaneRow => {
  if (
    !isRecord(row) ||
    typeof row.id !== 'string' ||
    typeof row.message_id !== 'string' ||
    typeof row.exchange !== 'string' ||
    typeof row.routing_key !== 'string' ||
    !(row.ordering_key === null || typeof row.ordering_key === 'string') ||
    !(typeof row.payload === 'string' || row.bytes instanceof Buffer) ||
    typeof row.created_at !== 'number' ||
    !isRecord(row.headers)
  ) {
    throw new OutboxError('row_invalid', 'outbox_message has columns of other types than expected')
  }
  return {
    id: BigInt(row.id),
    messageId: row.message_id,
    exchange: row.exchange,
    routingKey: row.routing_key,
    orderingKey: row.ordering_key,
    headers: row.headers,
    payload: row.bytes instanceof Buffer ? row.bytes : String(row.payload),
    createdAt: row.created_at,
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
