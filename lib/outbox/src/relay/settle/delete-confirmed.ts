import type { OwnedLane } from '../own/owner.ts'

/**
 * Deletes the rows that were confirmed. If that fails they stay remembered, and nothing else is read before they are
 * deleted: they would be published again.
 *
 * Locks: the rows it deletes, which nobody but the lane's owner touches.
 */
export const deleteConfirmed = async (owned: OwnedLane): Promise<void> => {
  if (owned.confirmed.length === 0) return
  await owned.session.query(deleteConfirmedSql, [owned.lane, owned.confirmed])
  owned.confirmed = []
}

const deleteConfirmedSql = {
  name: 'delete_confirmed',
  text: 'delete from outbox_message where lane = $1 and id = any($2::bigint[])',
}
