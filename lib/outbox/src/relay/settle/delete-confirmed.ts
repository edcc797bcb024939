import type { OwnedLane } from '../lane/owned-lane.ts'
import { takeXids, xidColumns } from '../read/xids.ts'

/**
 * Deletes the rows that were confirmed. If that fails they stay remembered, and nothing else is read before they are
 * deleted: they would be published again.
 *
 * Locks: the rows it deletes, which nobody but the lane's owner touches.
 */
export const deleteConfirmed = async (owned: OwnedLane): Promise<void> => {
  const { session, lane, pointers, known } = owned
  const ids = owned.confirmed
  if (ids.length === 0) return
  owned.confirmed = []
  const cursor = pointers.cursor()
  try {
    const { rows } = await session.query(deleteConfirmedSql, [lane, ids.map(String)])
    takeXids(pointers, rows[0], cursor)
    for (const id of ids) known.delete(id)
  } catch (error) {
    owned.confirmed.push(...ids)
    throw error
  }
}

// It draws an xid anyway, which serves as a mark of what was read before. The bounds are for Postgres 15 and 16, which may
// take the ids alone for a filter and read the lane from its first row, deleted ones included, for every batch.
const deleteConfirmedSql = {
  name: 'delete_confirmed',
  text: `
    with gone as (
      delete from outbox_message
      where lane = $1 and id = any($2::bigint[])
        and id between (select min(id) from unnest($2) as id) and (select max(id) from unnest($2) as id)
    )
    select ${xidColumns}`,
}
