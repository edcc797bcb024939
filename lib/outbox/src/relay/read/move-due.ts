import type { OwnedLane } from '../own/owner.ts'

/**
 * Moves scheduled rows that are due into the lane, at most `limit`, the longest overdue first, and says how many.
 * A row is moved once, whoever else tries: it is deleted and inserted by one statement.
 *
 * Locks: the scheduled rows it takes. Two owners for a moment could take them in the same order only, so they wait
 * for each other and do not deadlock.
 */
export const moveDue = async ({ session, lane }: OwnedLane, limit: number): Promise<number> => {
  const { rowCount } = await session.query(moveDueSql, [lane, limit])
  return rowCount ?? 0
}

/** Milliseconds until the next scheduled row is due, 0 if one is, or null if there is none. */
export const nextDueMs = async ({ session, lane }: OwnedLane): Promise<number | null> => {
  const { rows } = await session.query(nextDueSql, [lane])
  const row = rows[0]
  if (typeof row !== 'object' || row === null || !('ms' in row) || typeof row.ms !== 'number') return null
  return Math.max(0, Math.ceil(row.ms))
}

const moveDueSql = {
  name: 'move_due',
  text: `
    with due as materialized (
      select id from outbox_scheduled
      where lane = $1 and available_at <= now()
      order by available_at, id
      limit $2
      for update
    ), taken as (
      delete from outbox_scheduled scheduled using due
      where scheduled.lane = $1 and scheduled.id = due.id
      returning scheduled.*
    )
    insert into outbox_message (lane, message_id, exchange, routing_key, headers, payload)
    select lane, message_id, exchange, routing_key, headers, payload
    from taken
    order by available_at, id`,
}

const nextDueSql = {
  name: 'next_due',
  text: `
    select (extract(epoch from min(available_at) - clock_timestamp()) * 1000)::float8 as ms
    from outbox_scheduled
    where lane = $1`,
}
