import { orderingLockClass } from '../../register/ordering-lock.ts'
import { messageColumns } from '../../message-columns.ts'
import { readColumns } from '../../read-columns.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import { lookAtKeyWriters } from './key-writers.ts'
import { hashed } from './left-out.ts'
import type { LeftBehind, Place, ScheduledRow } from './move-place.ts'

/** What the rows of a move take on disk, bytes. It ends with the row that reaches them, so one larger goes by itself. */
export const moveBytes = 4 * 1024 * 1024

/**
 * Moves scheduled rows that are due into the lane, at most `limit` and some `moveBytes`, the longest overdue first, and says
 * how many. When it says none, it has begun at the lane's first row, or rests: to pass rows by the ten thousand that
 * somebody has locked takes seconds, and it did so just now. A row is moved once, whoever else tries: it is deleted and
 * inserted by one statement. All else that the relay asks of Postgres waits for it, and it is given up after half a minute:
 * gigabytes would never come over.
 *
 * Locks: the ordering keys of the rows, as writers do, at most `limit` of them, since all keys that are locked at a time
 * share one table of the server's. A row whose key a writer has waits, and with it its key, since that writer may hold it
 * for minutes; those behind it go. And the rows, of which one that somebody has locked waits the same way, or has changed
 * at this moment: the statement does not see what it has become. All lanes would wait with this session, so it waits for
 * nobody.
 *
 * The rows are looked up one by one, and deleted by their place: joined, they would be compared each with each where the
 * table's statistics are of when it was empty, as those of a table that is drained all the time are. By their time as well
 * as their id: by the id alone Postgres then goes through the whole lane for each, in the index that begins with the time.
 *
 * @param leaving Once it is aborted nothing more is asked for: there may be any number of rows that cannot be moved.
 */
export const moveDue = async (
  owned: OwnedLane,
  limit: number,
  leaving: AbortSignal = new AbortController().signal,
): Promise<number> => {
  if (owned.movePlace.rests()) return 0
  const move = { owned, limit, leaving }
  const from = owned.movePlace.from()
  let step = from === null ? null : await moveOn(move, from)
  if (leaving.aborted) return step?.moved ?? 0
  if (step === null || step.moved === 0) step = await moveFromFirst(move)
  const spent = { looks: step.looks, ms: step.ms }
  // More rows may be locked than a move tries.
  while (step.moved === 0 && step.place !== null && !leaving.aborted) {
    step = await moveOn(move, step.place)
    spent.looks += step.looks
    spent.ms += step.ms
  }
  if (step.moved === 0 && spent.looks > 1) owned.movePlace.passedAll(spent.ms)
  return step.moved
}

type MoveMeans = { owned: OwnedLane; limit: number; leaving: AbortSignal }

/**
 * How many came over, and where the next move may go on: null where there is nothing behind, or the place is unknown. By so
 * many looks at what is due, which took Postgres so long.
 */
type Step = { moved: number; place: Place | null; looks: number; ms: number }

/** Without keys any row may go before any other. */
const nothingLeft = { aboveId: '9223372036854775807', keys: [], ms: 0 }

/** So many keys are left behind at most: with more, each move begins at the first row. */
const mostKeysLeft = 5_000

const moveFromFirst = async (move: MoveMeans): Promise<Step> => {
  const { owned } = move
  const { kind, movePlace } = owned
  // Of two rows of a key the later one may be behind the place, and the earlier one, which commits late, before it. Who
  // may do so is looked at before the move, and not while its rows are few: most moves bring one.
  const writers = kind !== 'key' ? nothingLeft : movePlace.wasFull() ? await lookAtKeyWriters(owned) : null
  const { moved, full, last, left, looks, ms } = await moveFreeKeys(move, null)
  if (!full || last === null) {
    movePlace.forget()
    return { moved, place: null, looks, ms }
  }
  const place = writers === null ? null : placeBehind(last, { ...writers, keys: [...writers.keys, ...left] })
  movePlace.came(null, place, (writers?.ms ?? 0) + ms)
  return { moved, place, looks, ms }
}

const moveOn = async (move: MoveMeans, from: Place): Promise<Step> => {
  const { movePlace } = move.owned
  const { moved, full, last, left, looks, ms } = await moveFreeKeys(move, from)
  if (!full || last === null) {
    movePlace.forget()
    return { moved, place: null, looks, ms }
  }
  const place = placeBehind(last, { aboveId: from.aboveId, keys: left })
  movePlace.came(from, place, ms)
  return { moved, place, looks, ms }
}

const placeBehind = (last: ScheduledRow, { aboveId, keys }: LeftBehind): Place | null => {
  const each = [...new Set(keys)]
  return each.length > mostKeysLeft ? null : { ...last, aboveId, keys: each }
}

/**
 * `full`: all that it tried is moved, but for keys that writers have, and there may be more. `last` is the last row that it
 * tried; `left` are the keys of which it left rows, those that were left before among them; it took so many looks, at which
 * Postgres was for `ms`.
 */
type Move = { moved: number; full: boolean; last: ScheduledRow | null; left: string[]; looks: number; ms: number }

const moveFreeKeys = async ({ owned, limit, leaving }: MoveMeans, from: Place | null): Promise<Move> => {
  const { session, lane } = owned
  const { at, id, aboveId, keys } = from ?? { at: '-infinity', id: '0', ...nothingLeft }
  const left = [...keys]
  let spentMs = 0
  for (let looks = 1; ; looks += 1) {
    const { rows } = await session.query(moveDueSql, [lane, limit, orderingLockClass, left, at, id, aboveId])
    const { busy, late, tried, more, ms, moved, last } = parseMove(rows[0])
    spentMs += ms
    left.push(...busy, ...late)
    if (moved > 0 || busy.length === 0 || leaving.aborted)
      return { moved, full: moved === tried && more, last, left, looks, ms: spentMs }
  }
}

const parseMove = (row: unknown) => {
  const { at, id, ...move } = readColumns(row, 'the move of what is due', {
    tried: 'number',
    more: 'boolean',
    moved: 'number',
    busy: 'strings',
    late: 'strings',
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
//
// What came above the id is looked through in the order of ids, so by the primary key: by the other index each move would
// pass all that were moved before. A key of which some of it lies before the place waits.
const moveDueSql = {
  name: 'move_due',
  text: `
    with above as materialized (
      select id, available_at, hashtext(ordering_key) as key from outbox_scheduled
      where lane = $1 and id > $7::bigint and ordering_key is not null
      order by id
    ), late as materialized (
      select distinct key from above
      where (available_at, id) <= ($5::timestamptz, $6::bigint)
    ), ready as (
      select ctid, id, available_at, hashtext(ordering_key) as key, ${bytesOnDisk} as size from outbox_scheduled
      where lane = $1 and available_at <= now() and (available_at, id) > ($5::timestamptz, $6::bigint)
        and (ordering_key is null
          or hashtext(ordering_key) not in ${hashed('$4::int[]')} and hashtext(ordering_key) not in (select key from late))
      order by available_at, id
      limit $2
    ), candidate as materialized (
      select ctid, id, available_at, key, total >= ${moveBytes} as ends
      from (
        select *, sum(size) over (order by available_at, id rows unbounded preceding) as total from ready
      ) as summed
      where total - size < ${moveBytes}
    ), keys as materialized (
      select distinct key from candidate where key is not null
    ), tried as materialized (
      select key, pg_try_advisory_xact_lock($3::int, key) as free from keys
    ), free as materialized (
      select ctid, id, available_at, key from candidate
      where key is null or key = any(array(select key from tried where free))
    ), locked as materialized (
      select free.key, own.ctid
      from free left join lateral (
        select ctid from outbox_scheduled
        where lane = $1 and available_at = free.available_at and id = free.id
        for update skip locked
      ) as own on own.ctid = free.ctid
    ), passed as materialized (
      select distinct key from locked where ctid is null and key is not null
    ), due as materialized (
      select ctid from locked where ctid is not null and (key is null or key not in (select key from passed))
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
    select (select count(*)::int from due) as tried,
      (select count(*) = $2 or coalesce(bool_or(ends), false) from candidate) as more,
      (select count(*)::int from moved) as moved,
      to_json(array(select key::text from tried where not free union all select key::text from passed)) as busy,
      to_json(array(select key::text from late)) as late,
      to_json(last.available_at) #>> '{}' as at, last.id::text as id,
      (extract(epoch from clock_timestamp() - statement_timestamp()) * 1000)::float8 as ms
    from (select) as one
    left join (select available_at, id from candidate order by available_at desc, id desc limit 1) as last on true`,
}
