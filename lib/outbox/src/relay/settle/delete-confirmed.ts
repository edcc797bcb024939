import type { OwnedLane } from '../lane/owned-lane.ts'
import { areSameIds, expectSameIds } from '../read/id-watch.ts'
import { rowsById } from '../read/rows-by-id.ts'
import { takeXids, xidColumns } from '../read/xids.ts'

/**
 * Deletes the rows that were confirmed. If that fails they stay remembered, and nothing else is read before they are
 * deleted: they would be published again. Where the ids went back it deletes nothing, as they may be those of other rows,
 * and gives the session up.
 *
 * Locks: the rows it deletes, which nobody but the lane's owner touches.
 *
 * @throws OutboxError `session_lost`, and what Postgres says.
 */
export const deleteConfirmed = async (owned: OwnedLane): Promise<void> => {
  const { session, lane, ids: watched, pointers, known } = owned
  const ids = owned.confirmed
  if (ids.length === 0) return
  owned.confirmed = []
  const cursor = pointers.cursor()
  try {
    const { rows } = await session.query(deleteConfirmedSql, [lane, ids.map(String), ...watched.first])
    expectSameIds(session, rows[0])
    takeXids(pointers, rows[0], cursor)
    for (const id of ids) known.delete(id)
  } catch (error) {
    owned.confirmed.push(...ids)
    throw error
  }
}

// It draws an xid anyway, which serves as a mark of what was read before.
const deleteConfirmedSql = {
  name: 'delete_confirmed',
  text: `
    with ids as materialized (
      select ${areSameIds('$3', '$4')} as same
    ), gone as (
      delete from outbox_message where (select same from ids) and ${rowsById('$1', '$2')}
    )
    select same, ${xidColumns} from ids`,
}
