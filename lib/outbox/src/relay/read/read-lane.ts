import type { OwnedLane } from '../own/owner.ts'
import { type LaneRow, parseLaneRow } from './lane-row.ts'

/**
 * The lane's oldest rows that are not held back, in the order of their ids.
 *
 * Every read begins at the lane's first row. A cursor alone (`id > last id read`) would lose rows: an id is drawn
 * before its transaction commits, so a row with a lower id may appear after one with a higher id was read.
 *
 * Locks nothing: only the lane's owner reads it.
 */
export const readLane = async ({ session, lane, held }: OwnedLane, limit: number): Promise<LaneRow[]> => {
  const { rows } = await session.query(readLaneSql, [lane, held.waiting(), limit])
  return rows.map(parseLaneRow)
}

// The payload is left as text: parsing it here to write it out again would be the costliest part of a row.
const readLaneSql = {
  name: 'read_lane',
  text: `
    select id, message_id, exchange, routing_key, headers, payload::text as payload,
      floor(extract(epoch from created_at))::float8 as created_at
    from outbox_message
    where lane = $1 and id <> all($2::bigint[])
    order by id
    limit $3`,
}
