import { awaitedRows, lowestRow, type OwnedLane, takenRows } from '../lane/owned-lane.ts'
import { type Batch, boundedRead, readBounded } from './bounded-read.ts'
import { findCompanions } from './find-companions.ts'
import { columnsOf, hashed, isToOpen } from './left-out.ts'
import { forgetMissing, lastOf, parseId, remember } from './remember-rows.ts'

/**
 * Reads on where the last read ended, which passes no row twice. Rows that committed late, below the cursor, are not
 * seen here: `readFromFloor` finds them.
 *
 * Locks nothing: only the lane's owner reads it.
 */
export const readOn = async (owned: OwnedLane, limit: number): Promise<Batch> => {
  const { lane, pointers, held } = owned
  const cursor = String(pointers.cursor())
  const closed = held.closed()
  const batch =
    closed.length === 0
      ? await readBounded(owned, readOnSql, limit, (most) => [lane, cursor, most])
      : await readBounded(owned, readOpenOnSql, limit, (most) => [lane, cursor, most, ...columnsOf(closed)])
  remember(owned, batch.rows)
  return batch
}

/**
 * Reads every row of the lane that can be there and is neither known, held back nor to a closed destination: from the floor
 * on, below which no row can appear any more, and by their ids those that were tried and are to be read again. Reading from
 * the lane's first row would be as right, and slow, as the first read is: as long as some session's snapshot keeps them,
 * the deleted rows at the head of the lane are passed one by one.
 *
 * Rows that are held back or to a closed destination are passed over as if they had been read, so that the floor rises
 * above them. When a destination opens, the floor goes back to where it was when that closed. What a round has passed is
 * passed over as well, and the floor stays below it.
 *
 * Locks nothing: only the lane's owner reads it.
 */
export const readFromFloor = async (owned: OwnedLane, limit: number): Promise<Batch> => {
  const { lane, pointers, rounds, held } = owned
  // Suspects go one by one, and before all others, since they may close a destination.
  const companions = owned.suspects.size > 0 ? [] : await findCompanions(owned)
  // A companion may be due by itself.
  const allAwaited = [...new Set([...companions, ...awaitedRows(owned)])]
  // The next reads bring the later ones.
  const awaited = allAwaited.slice(0, owned.suspects.size > 0 ? limit : Math.ceil(limit / 2))
  const later = allAwaited.slice(awaited.length)
  const closed = held.closed()
  const lowest = lowestRow(owned)
  const read = pointers.startRead(lowest)
  const round = rounds.startRead(read, lowest)
  const mayTakeLong = pointers.isFarBack()
  const taken = [...takenRows(owned, round.from), ...later.map(String)]
  const valuesFor = (most: number) => [lane, String(round.from), taken, most]
  const passed = closed.length === 0 ? null : await lastRow(owned)
  const batch =
    held.isEmpty() && awaited.length === 0
      ? await readBounded(owned, readFromFloorSql, limit, valuesFor, mayTakeLong)
      : await readBounded(
          owned,
          readOpenFromFloorSql,
          limit,
          (most) => [...valuesFor(most), ...columnsOf(closed), awaited.map(String)],
          mayTakeLong,
        )
  remember(owned, batch.rows)
  if (!batch.full) forgetMissing(owned, awaited, batch.rows)
  // Of a destination that opened meanwhile the rows are not passed over any more.
  if (!batch.full && passed !== null && !read.isOutdated()) pointers.sawRow(passed)
  const last = lastOf(batch.rows)
  round.answered(last, batch.full)
  if (round.from === read.floor) read.answered(batch.full ? last : null, lowestRow(owned))
  if (last === null) return batch
  const ended = (left: number) => {
    if (left > 0) round.left(last, lowestRow(owned))
  }
  return { ...batch, ended }
}

/** The lane's last row: a whole read that begins after this passes every row up to it that was there. */
const lastRow = async ({ session, lane }: OwnedLane): Promise<bigint | null> => {
  const { rows } = await session.query({ ...lastRowSql, mayTakeLong: true }, [lane])
  return parseId(rows[0])
}

const readOnSql = boundedRead(
  'read_on',
  'id',
  (columns) => `
    select ${columns}
    from outbox_message
    where lane = $1 and id > $2
    order by id
    limit $3`,
)

const readOpenOnSql = boundedRead(
  'read_open_on',
  'id',
  (columns) => `
    select ${columns}
    from outbox_message
    where lane = $1 and id > $2
      and ${isToOpen('$4::text[]', '$5::text[]', '$6::text[]')}
    order by id
    limit $3`,
)

const readFromFloorSql = boundedRead(
  'read_from_floor',
  'id',
  (columns) => `
    select ${columns}
    from outbox_message
    where lane = $1 and id > $2 and id <> all($3::bigint[])
    order by id
    limit $4`,
)

// Row by row, as Postgres 15 and 16 may take the ids for a filter of the whole lane.
const readOpenFromFloorSql = boundedRead(
  'read_open_from_floor',
  'id',
  (columns) => `
    (
      select ${columns}
      from (
        select message.*
        from unnest($8::bigint[]) as awaited,
          lateral (select * from outbox_message where lane = $1 and id = awaited offset 0) as message
      ) as awaited
    ) union all (
      select ${columns}
      from outbox_message
      where lane = $1 and id > $2 and id not in ${hashed('$3::bigint[]')} and id not in ${hashed('$8::bigint[]')}
        and ${isToOpen('$5::text[]', '$6::text[]', '$7::text[]')}
      order by id
      limit $4
    )
    order by id
    limit $4`,
)

const lastRowSql = { name: 'last_row', text: 'select max(id) as id from outbox_message where lane = $1' }
