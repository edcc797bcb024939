import { orderingLockClass } from '../../enqueue/insert-messages.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'

/**
 * Moves scheduled rows that are due into the lane, at most `limit`, the longest overdue first, and says how many.
 * A row is moved once, whoever else tries: it is deleted and inserted by one statement.
 *
 * Locks: the scheduled rows it takes. Two owners for a moment could take them in the same order only, so they wait
 * for each other and do not deadlock. And the ordering keys, as writers do; a row whose key a writer has waits, since
 * that writer may hold it for minutes.
 */
export const moveDue = async ({ session, lane }: OwnedLane, limit: number): Promise<number> => {
  const { rowCount } = await session.query(moveDueSql, [lane, limit, orderingLockClass])
  return rowCount ?? 0
}

const moveDueSql = {
  name: 'move_due',
  text: `
    with due as materialized (
      select id from outbox_scheduled
      where lane = $1 and available_at <= now()
        and (ordering_key is null or pg_try_advisory_xact_lock($3::int, hashtext(ordering_key)))
      order by available_at, id
      limit $2
      for update
    ), taken as (
      delete from outbox_scheduled scheduled using due
      where scheduled.lane = $1 and scheduled.id = due.id
      returning scheduled.*
    )
    insert into outbox_message (lane, message_id, exchange, routing_key, ordering_key, headers, payload, bytes)
    select lane, message_id, exchange, routing_key, ordering_key, headers, payload, bytes
    from taken
    order by available_at, id`,
}
