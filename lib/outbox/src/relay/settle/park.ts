import { messageColumns } from '../../message-columns.ts'
import { readColumns } from '../../read-columns.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import type { LaneRow } from '../read/lane-row.ts'
import { areSameIds, expectSameIds } from '../read/id-watch.ts'
import { rowsById } from '../read/rows-by-id.ts'

/** A row that was refused too often. */
export type Hopeless = { row: LaneRow; reason: string; attempts: number }

/**
 * Moves rows out of the lane into `outbox_parked`, where people find them with the reason, and gives those that it moved.
 * One with an ordering key goes on holding its key back there. Where the ids went back it moves none, and gives the session
 * up.
 *
 * Where the ids were begun anew and what was parked before is still there, that may have the id of a row. The row goes to
 * an id that is above all then; but with an ordering key it would come back behind its successors by that, so it stays in
 * the lane until the one that is parked is dropped. That cannot be retried meanwhile, if it has a key (`id_taken`).
 *
 * Locks: the rows it moves, which nobody but the lane's owner touches.
 *
 * @throws OutboxError `session_lost`, and what Postgres says.
 */
export const park = async (
  { session, lane, ids: watched, held }: OwnedLane,
  rows: readonly Hopeless[],
): Promise<Hopeless[]> => {
  const answer = await session.query(parkSql, [
    lane,
    rows.map(({ row }) => String(row.id)),
    rows.map(({ reason }) => reason),
    rows.map(({ attempts }) => attempts),
    rows.map(({ row }) => row.orderingKey !== null),
    ...watched.first,
  ])
  expectSameIds(session, answer.rows[0])
  const left = new Set(readColumns(answer.rows[0], 'the parking of rows', { left: 'strings' }).left)
  const parked = rows.filter(({ row }) => !left.has(String(row.id)))
  for (const { row } of parked) held.parked(row.id)
  return parked
}

const columns = `${messageColumns}, created_at`

const parkSql = {
  name: 'park',
  text: `
    with ids as materialized (
      select ${areSameIds('$6', '$7')} as same
    ), refused as materialized (
      select *, (select true from outbox_parked where lane = $1 and id = refused_id) as is_taken
      from unnest($2::bigint[], $3::text[], $4::int[], $5::bool[]) as refused (refused_id, reason, attempts, is_keyed)
    ), gone as (
      delete from outbox_message
      where (select same from ids) and ${rowsById('$1', '$2')}
        and id not in (select refused_id from refused where is_taken and is_keyed)
      returning lane, id, ${columns}
    ), parked as (
      insert into outbox_parked (lane, id, ${columns}, reason, attempts)
      select lane, case
          when is_taken then row_number() over ()
            + greatest((select max(id) from outbox_parked where lane = $1), (select max(refused_id) from refused))
          else id
        end, ${columns}, reason, attempts
      from gone join refused on refused_id = id
    )
    select same, to_json(array(select refused_id::text from refused where is_taken and is_keyed)) as left from ids`,
}
