import { orderingLockClass } from '../../lane/ordering-lock.ts'
import { messageColumns } from '../../message-columns.ts'
import { readColumns } from '../../read-columns.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import type { Place } from './move-place.ts'

/** What the rows of a move take on disk, bytes. It ends with the row that reaches them, so one larger goes by itself. */
export const moveBytes = 4 * 1024 * 1024

/**
 * Moves scheduled rows that are due into the lane, at most `limit` and some `moveBytes`, the longest overdue first, and says
 * how many. When it says none, it has begun at the lane's first row. A row is moved once, whoever else tries: it is deleted
 * and inserted by one statement. All else that the relay asks of Postgres waits for it, and it is given up after half a
 * minute: gigabytes would never come over.
 *
 * Locks: the ordering keys of the rows, as writers do, at most `limit` of them, since all keys that are locked at a time
 * share one table of the server's. A row whose key a writer has waits, and with it its key, since that writer may hold it
 * for minutes; those behind it go. And the rows, in the order in which they go, so two owners for a moment wait for each
 * other and do not deadlock.
 *
 * The rows are looked up one by one, and deleted by their place: joined, they would be compared each with each where the
 * table's statistics are of when it was empty, as those of a table that is drained all the time are.
 */
export const moveDue = async (owned: OwnedLane, limit: number): Promise<number> => {
  const { kind, movePlace } = owned
  // Of two rows of a key the later one may be behind the place, and the earlier one, which committed late, before it.
  const from = kind === 'key' ? null : movePlace.from()
  const moved = from === null ? 0 : await moveFrom(owned, from, limit)
  return moved > 0 ? moved : moveFrom(owned, null, limit)
}

const moveFrom = async (owned: OwnedLane, from: Place | null, limit: number): Promise<number> => {
  const { movePlace } = owned
  const { moved, full, last, ms } = await moveFreeKeys(owned, from, limit)
  if (full && last !== null) movePlace.came(from, last, ms)
  else movePlace.forget()
  return moved
}

/**
 * `full`: all that it tried is moved, and there may be more. `last` is the last row that it tried; `ms` is how long Postgres
 * was at it.
 */
type Move = { moved: number; full: boolean; last: Place | null; ms: number }

const moveFreeKeys = async ({ session, lane }: OwnedLane, from: Place | null, limit: number): Promise<Move> => {
  const passed: string[] = []
  let spentMs = 0
  const { at, id } = from ?? { at: '-infinity', id: '0' }
  for (;;) {
    const { rows } = await session.query(moveDueSql, [lane, limit, orderingLockClass, passed, at, id])
    const { busy, tried, cut, ms, moved, last } = parseMove(rows[0])
    spentMs += ms
    const full = moved === tried && (cut || tried === limit)
    if (moved > 0 || busy.length === 0) return { moved, full, last, ms: spentMs }
    passed.push(...busy)
  }
}

const parseMove = (row: unknown) => {
  const { at, id, ...move } = readColumns(row, 'the move of what is due', {
    tried: 'number',
    cut: 'boolean',
    moved: 'number',
    busy: 'strings',
    at: 'string?',
    id: 'string?',
    ms: 'number',
  })
  return { ...move, last: at === null || id === null ? null : { at, id } }
}

// Of what lies outside of the row its pointer tells the size, and Postgres moves it as it is, compressed or not.
const bytesOnDisk =
  'pg_column_size(headers) + coalesce(pg_column_size(payload), 0) + coalesce(pg_column_size(bytes), 0)'

// Each key is tried once for all of its rows: of two tries the writer may commit in between, and the second row go first.
// The time is that of Postgres, when all is moved: by our clock it would have the wait for the session in it.
const moveDueSql = {
  name: 'move_due',
  text: `
    with ready as (
      select id, available_at, ordering_key, ${bytesOnDisk} as size from outbox_scheduled
      where lane = $1 and available_at <= now() and (available_at, id) > ($5::timestamptz, $6::bigint)
        and (ordering_key is null or ordering_key <> all($4::text[]))
      order by available_at, id
      limit $2
    ), candidate as materialized (
      select id, available_at, ordering_key, total >= ${moveBytes} as ends
      from (
        select *, sum(size) over (order by available_at, id rows unbounded preceding) as total from ready
      ) as summed
      where total - size < ${moveBytes}
    ), key as materialized (
      select distinct ordering_key as name from candidate where ordering_key is not null
    ), tried as materialized (
      select name, pg_try_advisory_xact_lock($3::int, hashtext(name)) as free from key
    ), due as materialized (
      select locked.ctid
      from candidate cross join lateral (
        select ctid from outbox_scheduled where lane = $1 and id = candidate.id for update
      ) as locked
      where candidate.ordering_key is null or candidate.ordering_key in (select name from tried where free)
    ), taken as (
      delete from outbox_scheduled where ctid = any(array(select ctid from due))
      returning *
    ), moved as (
      insert into outbox_message (lane, ${messageColumns})
      select lane, ${messageColumns}
      from taken
      order by available_at, id
      returning id
    )
    select (select count(*)::int from candidate) as tried, (select coalesce(bool_or(ends), false) from candidate) as cut,
      (select count(*)::int from moved) as moved, to_json(array(select name from tried where not free)) as busy,
      to_json(last.available_at) #>> '{}' as at, last.id::text as id,
      (extract(epoch from clock_timestamp() - statement_timestamp()) * 1000)::float8 as ms
    from (select) as one
    left join (select available_at, id from candidate order by available_at desc, id desc limit 1) as last on true`,
}
