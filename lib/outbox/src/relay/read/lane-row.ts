import { OutboxError } from '../../errors.ts'

/** A row as it is published: the payload as JSON text, which nobody here looks into. */
export type LaneRow = {
  id: bigint
  messageId: string
  exchange: string
  routingKey: string
  headers: Record<string, unknown>
  payload: string
  /** When it was written, seconds since 1970. */
  createdAt: number
}

/** Reads a row of `readLane`. */
export const parseLaneRow = (row: unknown): LaneRow => {
  if (
    !isRecord(row) ||
    typeof row.id !== 'string' ||
    typeof row.message_id !== 'string' ||
    typeof row.exchange !== 'string' ||
    typeof row.routing_key !== 'string' ||
    typeof row.payload !== 'string' ||
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
    headers: row.headers,
    payload: row.payload,
    createdAt: row.created_at,
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
