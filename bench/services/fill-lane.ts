import type { Place } from './open-place.ts'

/** The size of every payload, bytes: what the numbers to hold are for. */
export const payloadBytes = 200

/** Payloads of another size among them: those of every so manieth row. */
export type Others = { every: number; bytes: number }

/** Rows of one statement. Its new rows are held in memory for the trigger that rings. */
const rowsAtATime = 200_000

/** Writes rows to the place's lane, and leaves the table and the disk as quiet as they get. */
export const fillLane = async (place: Place, rows: number, others?: Others): Promise<void> => {
  for (let written = 0; written < rows; written += rowsAtATime) {
    await insertRows(place, Math.min(rowsAtATime, rows - written), others)
  }
  await place.db.query('vacuum analyze outbox_message')
  await place.admin.query('checkpoint')
}

/** Writes rows in one transaction. */
export const insertRows = async ({ db, lane, queue }: Place, rows: number, others?: Others): Promise<void> => {
  const { every, bytes } = others ?? { every: rows + 1, bytes: payloadBytes }
  const values = [lane.id, queue, payloadBytes, rows, every, bytes]
  await db.query({ name: 'insert_rows', text: insertRowsSql, values })
}

// The payload is JSON text, whose quotes count.
const insertRowsSql = `
  insert into outbox_message (lane, message_id, routing_key, payload)
  select $1, gen_random_uuid(), $2, to_json(repeat('a', case number % $5::int when 0 then $6::int else $3::int end - 2))
  from generate_series(1, $4::int) as number`
