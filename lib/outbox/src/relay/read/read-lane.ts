import { readColumns } from '../../read-columns.ts'
import { awaitedRows, lowestRow, type OwnedLane, takenRows } from '../lane/owned-lane.ts'
import type { Destination } from '../settle/held-rows.ts'
import { type Batch, boundedRead, readBounded } from './bounded-read.ts'
import { hashed, hashedRows, type LaneRow } from './lane-row.ts'

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
 * the lane's first row would be as right, and slow, as the first read and each minute's are: as long as some session's
 * snapshot keeps them, the deleted rows at the head of the lane are passed one by one.
 *
 * Rows that are held back or to a closed destination are passed over as if they had been read, so that the floor rises
 * above them and no read or look meets them again. When a destination opens, the floor is zero.
 *
 * Locks nothing: only the lane's owner reads it.
 */
export const readFromFloor = async (owned: OwnedLane, limit: number): Promise<Batch> => {
  const { lane, pointers, held } = owned
  // The next reads bring the later ones. Only suspects go before what was never tried, since they may close a destination.
  const allAwaited = awaitedRows(owned)
  const awaited = allAwaited.slice(0, owned.suspects.size > 0 ? limit : Math.ceil(limit / 2))
  const later = allAwaited.slice(awaited.length)
  const closed = held.closed()
  const floor = pointers.floor()
  const restarts = pointers.restarts()
  const mayTakeLong = floor === 0n
  const taken = [...takenRows(owned, floor), ...later.map(String)]
  const valuesFor = (most: number) => [lane, String(floor), taken, most]
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
  // A destination that opened while this was read may have rows that it passed over.
  if (pointers.restarts() > restarts) return batch
  if (!batch.full && passed !== null) pointers.sawRow(passed)
  pointers.readAll(batch.full ? lastOf(batch.rows) : null, lowestRow(owned))
  return batch
}

/** The lane's last row: a whole read that begins after this passes every row up to it that was there. */
const lastRow = async ({ session, lane }: OwnedLane): Promise<bigint | null> => {
  const { rows } = await session.query({ ...lastRowSql, mayTakeLong: true }, [lane])
  return parseId(rows[0])
}

/** Reads the one id that is asked for, or null. */
export const parseId = (row: unknown): bigint | null => {
  const { id } = readColumns(row, 'outbox_message', { id: 'string?' })
  return id === null ? null : BigInt(id)
}

/** Destinations as a statement takes them, for `hashedRows`. */
export const columnsOf = (
  destinations: readonly Destination[],
): [exchanges: string[], routingKeys: (string | null)[]] => [
  destinations.map(({ exchange }) => exchange),
  destinations.map(({ routingKey }) => routingKey),
]

/** Forgets those of the rows that a whole read did not bring: somebody has deleted them. */
export const forgetMissing = ({ held, suspects }: OwnedLane, awaited: Iterable<bigint>, found: readonly LaneRow[]) => {
  const there = new Set(found.map(({ id }) => id))
  for (const id of awaited) {
    if (there.has(id)) continue
    held.release(id)
    suspects.delete(id)
  }
}

/** The last of the rows, or null. */
export const lastOf = (rows: readonly LaneRow[]): bigint | null => rows.at(-1)?.id ?? null

/** Rows that are on their way from now on. */
export const remember = ({ known, pointers }: OwnedLane, rows: readonly LaneRow[]): void => {
  for (const { id } of rows) known.add(id)
  const last = lastOf(rows)
  if (last !== null) pointers.sawRow(last)
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
      and (exchange, routing_key) not in ${hashedRows('$4::text[]', '$5::text[]')}
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
        from unnest($7::bigint[]) as awaited,
          lateral (select * from outbox_message where lane = $1 and id = awaited offset 0) as message
      ) as awaited
    ) union all (
      select ${columns}
      from outbox_message
      where lane = $1 and id > $2 and id not in ${hashed('$3::bigint[]')} and id not in ${hashed('$7::bigint[]')}
        and (exchange, routing_key) not in ${hashedRows('$5::text[]', '$6::text[]')}
      order by id
      limit $4
    )
    order by id
    limit $4`,
)

const lastRowSql = { name: 'last_row', text: 'select max(id) as id from outbox_message where lane = $1' }
