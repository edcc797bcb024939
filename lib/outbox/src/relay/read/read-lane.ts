import { awaitedRows, lowestRow, type OwnedLane, takenRows } from '../lane/owned-lane.ts'
import { laneColumns, type LaneRow, parseLaneRow } from './lane-row.ts'

/** The rows, in the order of their ids, and whether there may be more. */
export type Batch = { rows: LaneRow[]; full: boolean }

/**
 * Reads on where the last read ended, which passes no row twice. Rows that committed late, below the cursor, are not
 * seen here: `readFromFloor` finds them.
 *
 * Locks nothing: only the lane's owner reads it.
 */
export const readOn = async (owned: OwnedLane, limit: number): Promise<Batch> => {
  const { session, lane, pointers } = owned
  const { rows } = await session.query(readOnSql, [lane, String(pointers.cursor()), limit])
  return take(owned, rows, limit)
}

/**
 * Reads every row of the lane that can be there and is not known or held back: from the floor on, below which no row can
 * appear any more. Reading from the lane's first row would be as right, and slow: as long as some session's snapshot
 * keeps them, the deleted rows at the head of the lane are passed one by one.
 *
 * Locks nothing: only the lane's owner reads it.
 */
export const readFromFloor = async (owned: OwnedLane, limit: number): Promise<Batch> => {
  const { session, lane, pointers } = owned
  const awaited = awaitedRows(owned)
  const floor = pointers.floor()
  const statement = { ...readFromFloorSql, mayTakeLong: floor === 0n }
  const { rows } = await session.query(statement, [lane, String(floor), takenRows(owned), limit])
  const batch = take(owned, rows, limit)
  if (!batch.full) forgetMissing(owned, awaited, batch.rows)
  pointers.readAll(batch.full ? lastOf(batch.rows) : null, lowestRow(owned))
  return batch
}

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

const take = (owned: OwnedLane, found: unknown[], limit: number): Batch => {
  const rows = found.map(parseLaneRow)
  remember(owned, rows)
  return { rows, full: rows.length === limit }
}

const readOnSql = {
  name: 'read_on',
  text: `
    select ${laneColumns}
    from outbox_message
    where lane = $1 and id > $2
    order by id
    limit $3`,
}

const readFromFloorSql = {
  name: 'read_from_floor',
  text: `
    select ${laneColumns}
    from outbox_message
    where lane = $1 and id > $2 and id <> all($3::bigint[])
    order by id
    limit $4`,
}
