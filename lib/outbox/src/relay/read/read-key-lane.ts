import { OutboxError } from '../../errors.ts'
import { awaitedRows, lowestOf, type OwnedLane } from '../lane/owned-lane.ts'
import { laneColumns, type LaneRow, parseLaneRow } from './lane-row.ts'
import { type Batch, forgetMissing, remember } from './read-lane.ts'

/** The first rows of keys, in the order of the keys, and whether there may be further keys. */
export type KeyBatch = Batch & { lastKey: string }

/**
 * Reads the first row of each key after `afterKey` that is not held back or parked, at most `limit` of them. The next row
 * of a key is read when its first one is deleted, so that a row that is published again, its confirm or its delete being
 * lost, comes after none of its key. It steps from key to key, so a key with any number of rows costs one step.
 *
 * There is no cursor: with one, a later row of a key could be read before its earlier one that committed late.
 *
 * Locks nothing: only the lane's owner reads it.
 */
export const readKeyLane = async (owned: OwnedLane, limit: number, afterKey = ''): Promise<KeyBatch> => {
  const { session, lane, pointers, held } = owned
  const awaited = awaitedRows(owned)
  const parked = await readParked(owned)
  // Before anything else is awaited: a key that is parked from now on is in the one list still, or in the other one.
  const taken = [...held.waitingKeys(), ...parked.keys]
  if (afterKey === '') await raiseFloor(owned, parked.lowest)
  const floor = pointers.floor()
  const statement = { ...readFirstsSql, mayTakeLong: floor === 0n }
  const found = await session.query(statement, [lane, String(floor), afterKey, taken, limit])
  const keyed = found.rows.map(parseLaneRow)
  const looksForStrays = afterKey === '' && keyed.length === 0 && !taken.includes('')
  const strays = looksForStrays ? await readStray(owned) : []
  const rows = [...keyed, ...strays]
  remember(owned, rows)
  const full = keyed.length === limit
  // A row that is not the first of its key may be behind one that committed late or came back from the parked ones.
  const isBehind = (id: bigint): boolean => {
    const key = held.keyOf(id)
    return key === '' ? !looksForStrays : rows.some((row) => row.orderingKey === key && row.id < id)
  }
  if (afterKey === '' && !full)
    forgetMissing(
      owned,
      awaited.filter((id) => !isBehind(id)),
      rows,
    )
  return { rows, full, lastKey: keyed.at(-1)?.orderingKey ?? '' }
}

/** A row in a key lane without a key, which nothing here writes: one at a time, since nobody knows their order. */
const readStray = async ({ session, lane, pointers }: OwnedLane): Promise<LaneRow[]> => {
  const floor = pointers.floor()
  const { rows } = await session.query({ ...readStraySql, mayTakeLong: floor === 0n }, [lane, String(floor)])
  return rows.map(parseLaneRow)
}

/** Lifts the floor up to the lane's first row, as far as no row can appear below it any more. */
const raiseFloor = async ({ session, lane, pointers }: OwnedLane, lowestParked: bigint | null): Promise<void> => {
  const floor = pointers.floor()
  const { rows } = await session.query({ ...lowestSql, mayTakeLong: floor === 0n }, [lane, String(floor)])
  const lowest = rows.map(parseId)
  pointers.readAll(null, lowestOf([...lowest, lowestParked].filter((id) => id !== null)))
}

const parseId = (row: unknown): bigint => {
  if (typeof row === 'object' && row !== null && 'id' in row && typeof row.id === 'string') return BigInt(row.id)
  throw new OutboxError('row_invalid', 'outbox_message.id is of another type than expected')
}

/**
 * What is parked in a key lane. Only its owner parks; people set keys free, and then ring. A row that is tried again after
 * this was read is in the lane when that is read, under its old id, and its key is read the next time.
 */
const readParked = async ({ session, lane }: OwnedLane): Promise<{ lowest: bigint | null; keys: string[] }> => {
  const { rows } = await session.query(readParkedSql, [lane])
  const parked = rows.map(parseParked)
  return { lowest: parked[0]?.id ?? null, keys: parked.map(({ key }) => key) }
}

const parseParked = (row: unknown): { id: bigint; key: string } => {
  if (
    typeof row === 'object' &&
    row !== null &&
    'id' in row &&
    typeof row.id === 'string' &&
    'key' in row &&
    typeof row.key === 'string'
  ) {
    return { id: BigInt(row.id), key: row.key }
  }
  throw new OutboxError('row_invalid', 'outbox_parked has columns of other types than expected')
}

const readParkedSql = {
  name: 'read_parked',
  text: `select id, coalesce(ordering_key, '') as key from outbox_parked where lane = $1 order by id`,
}

const lowestSql = {
  name: 'lowest_row',
  text: 'select id from outbox_message where lane = $1 and id > $2 order by id limit 1',
}

const firstAfter = (key: string): string => `
      select ordering_key, id from outbox_message
      where lane = $1 and ordering_key > ${key} and id > $2
      order by ordering_key, id
      limit 1`

// Which keys are taken is looked at in the step that shows a key, so one with many rows is passed in one step as well.
const readFirstsSql = {
  name: 'read_firsts',
  text: `
    with recursive first as (
      (${firstAfter('$3')})
      union all
      select next.ordering_key, next.id from first, lateral (${firstAfter('first.ordering_key')}) as next
    ), chosen as (
      select id from first where ordering_key <> all($4::text[]) limit $5
    )
    select ${laneColumns}
    from chosen join outbox_message using (id)
    where lane = $1
    order by ordering_key`,
}

const readStraySql = {
  name: 'read_stray',
  text: `
    select ${laneColumns}
    from outbox_message
    where lane = $1 and id > $2 and coalesce(ordering_key, '') = ''
    order by id
    limit 1`,
}
