import { messageColumns } from '../../message-columns.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import type { LaneRow } from '../read/lane-row.ts'
import { areSameIds, expectSameIds } from '../read/id-watch.ts'
import { rowsById } from '../read/rows-by-id.ts'

/** A row that was refused too often. */
export type Hopeless = { row: LaneRow; reason: string; attempts: number }

/**
 * Moves rows out of the lane into `outbox_parked`, where people find them with the reason. One with an ordering key goes
 * on holding its key back there. Where the ids went back it moves none, and gives the session up.
 *
 * Locks: the rows it moves, which nobody but the lane's owner touches.
 *
 * @throws OutboxError `session_lost`, and what Postgres says.
 */
export const park = async (
  { session, lane, ids: watched, held }: OwnedLane,
  rows: readonly Hopeless[],
): Promise<void> => {
  const ids = rows.map(({ row }) => String(row.id))
  const reasons = rows.map(({ reason }) => reason)
  const attempts = rows.map((hopeless) => hopeless.attempts)
  const answer = await session.query(parkSql, [lane, ids, reasons, attempts, ...watched.first])
  expectSameIds(session, answer.rows[0])
  for (const { row } of rows) held.parked(row.id)
}

const columns = `lane, id, ${messageColumns}, created_at`

const parkSql = {
  name: 'park',
  text: `
    with ids as materialized (
      select ${areSameIds('$5', '$6')} as same
    ), refused as (
      select * from unnest($2::bigint[], $3::text[], $4::int[]) as refused (refused_id, reason, attempts)
    ), gone as (
      delete from outbox_message where (select same from ids) and ${rowsById('$1', '$2')}
      returning ${columns}
    ), parked as (
      insert into outbox_parked (${columns}, reason, attempts)
      select ${columns}, reason, attempts from gone join refused on refused_id = id
    )
    select same from ids`,
}
