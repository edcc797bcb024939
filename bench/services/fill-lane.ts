import type { Place } from './open-place.ts'

/** The size of every payload, bytes: what the numbers to hold are for. */
export const payloadBytes = 200

/** Rows of one statement. Its new rows are held in memory for the trigger that rings. */
const rowsAtATime = 200_000

/** Writes rows to the place's lane, and leaves the table and the disk as quiet as they get. */
export const fillLane = async (place: Place, rows: number): Promise<void> => {
  for (let written = 0; written < rows; written += rowsAtATime) {
    await insertRows(place, Math.min(rowsAtATime, rows - written))
  }
  await place.db.query('vacuum analyze outbox_message')
  await place.admin.query('checkpoint')
}

/** Writes rows in one transaction. */
export const insertRows = async ({ db, lane, queue }: Place, rows: number): Promise<void> => {
  await db.query({ name: 'insert_rows', text: insertRowsSql, values: [lane.id, queue, payloadBytes, rows] })
}

// The payload is JSON text, whose quotes count.
const insertRowsSql = `
  insert into outbox_message (lane, message_id, routing_key, payload)
  select $1, gen_random_uuid(), $2, to_json(repeat('a', $3::int - 2)) from generate_series(1, $4::int)`
