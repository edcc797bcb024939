import { messageColumns } from '../../message-columns.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import type { LaneRow } from '../read/lane-row.ts'
import { rowsById } from '../read/rows-by-id.ts'

/** A row that was refused too often. */
export type Hopeless = { row: LaneRow; reason: string; attempts: number }

/**
 * Moves rows out of the lane into `outbox_parked`, where people find them with the reason. One with an ordering key goes
 * on holding its key back there.
 *
 * Locks: the rows it moves, which nobody but the lane's owner touches.
 */
export const park = async ({ session, lane, held }: OwnedLane, rows: readonly Hopeless[]): Promise<void> => {
  const ids = rows.map(({ row }) => String(row.id))
  const reasons = rows.map(({ reason }) => reason)
  const attempts = rows.map((hopeless) => hopeless.attempts)
  await session.query(parkSql, [lane, ids, reasons, attempts])
  for (const { row } of rows) held.parked(row.id)
}

const columns = `lane, id, ${messageColumns}, created_at`

const parkSql = {
  name: 'park',
  text: `
    with refused as (
      select * from unnest($2::bigint[], $3::text[], $4::int[]) as refused (refused_id, reason, attempts)
    ), gone as (
      delete from outbox_message where ${rowsById('$1', '$2')}
      returning ${columns}
    )
    insert into outbox_parked (${columns}, reason, attempts)
    select ${columns}, reason, attempts from gone join refused on refused_id = id`,
}
