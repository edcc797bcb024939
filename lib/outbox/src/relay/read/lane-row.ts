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
  /** Of the payload and the headers together, bytes or characters. */
  size: number
  /** When it was written, seconds since 1970. */
  createdAt: number
}

/** Where it goes, as one text: two rows with the same exchange and routing key have the same. */
export const nameOfDestination = ({ exchange, routingKey }: LaneRow): string => JSON.stringify([exchange, routingKey])

const columns = (headers: string, payload: string, bytes: string): string =>
  `id, message_id, exchange, routing_key, ordering_key, ${headers} as headers, ${payload} as payload, ${bytes} as bytes,
      floor(extract(epoch from created_at))::float8 as created_at`

// The payload is left as text: parsing it here to write it out again would be the costliest part of a row. Of the headers
// the text tells the size.
export const laneColumns = columns('headers::text', 'payload::text', 'bytes')

/** The same, but only rows for which the condition holds have headers and a payload. */
export const lightColumns = (isLight: string): string => {
  const ifLight = (column: string) => `case when ${isLight} then ${column} end`
  return columns(ifLight('headers::text'), ifLight('payload::text'), ifLight('bytes'))
}

/** Whether a row of `lightColumns` has none. */
export const isWithheld = (row: unknown): boolean => isRecord(row) && row.headers === null

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
    typeof row.headers !== 'string'
  ) {
    throw invalid()
  }
  const headers: unknown = JSON.parse(row.headers)
  if (!isRecord(headers)) throw invalid()
  const payload = row.bytes instanceof Buffer ? row.bytes : String(row.payload)
  return {
    id: BigInt(row.id),
    messageId: row.message_id,
    exchange: row.exchange,
    routingKey: row.routing_key,
    orderingKey: row.ordering_key,
    headers,
    payload,
    size: row.headers.length + payload.length,
    createdAt: row.created_at,
  }
}

const invalid = () => new OutboxError('row_invalid', 'outbox_message has columns of other types than expected')

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
