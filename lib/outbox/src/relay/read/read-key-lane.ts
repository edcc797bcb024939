import { awaitedRows, isAllOpen, looksForStrays, type OwnedLane } from '../lane/owned-lane.ts'
import { type Batch, type BoundedRead, boundedRead, readBounded } from './bounded-read.ts'
import { findKeyCompanion } from './find-companions.ts'
import { isFirst, isNotParked, keySteps, strayCondition } from './key-steps.ts'
import { laneColumns, type LaneRow, parseLaneRow } from './lane-row.ts'
import { columnsOf, doesNotRest, hashed, isToOpen } from './left-out.ts'
import { forgetMissing, parseId, remember } from './remember-rows.ts'
import { seeWriters } from './writer-watch.ts'

/** The first rows of keys, in the order of the keys, and whether there may be further keys. */
export type KeyBatch = Batch & { lastKey: string }

/**
 * Reads the first row of each key after `afterKey`, at most `limit` of them, but not of a key that is `busy`, since a row of
 * it is in flight since before the first of these reads, nor of one that is held back or parked, nor one to a closed
 * destination that is not due, nor one that rests between two rounds. The next row of a key is read when its first one is
 * deleted, so that a row that is published again, its confirm or its delete being lost, comes after none of its key. It
 * steps from key to key, so a key with any number of rows costs one step.
 *
 * There is no cursor: with one, a later row of a key could be read before its earlier one that committed late.
 *
 * A key that is parked meanwhile is still in the list that is sent, and is found parked by a statement that comes after
 * the parking. Only the lane's owner parks; people set keys free, and then ring.
 *
 * Locks nothing: only the lane's owner reads it.
 */
export const readKeyLane = async (
  owned: OwnedLane,
  limit: number,
  { afterKey = '', busy = noKeys }: { afterKey?: string; busy?: ReadonlySet<string> } = {},
): Promise<KeyBatch> => {
  const { lane, pointers, held, keyRounds } = owned
  if (afterKey === '' && busy.size === 0) keyRounds.startPass()
  const companions = afterKey === '' ? await findKeyCompanion(owned) : []
  const awaited = [...awaitedRows(owned), ...companions]
  if (afterKey === '' && owned.raising.isDue()) await raiseFloor(owned)
  const floor = pointers.floor()
  const waiting = [...held.waitingKeys(), ...busy]
  const valuesFor = (most: number) => [lane, String(floor), afterKey, most]
  const freeValuesFor = (most: number) => [
    ...valuesFor(most),
    waiting,
    ...columnsOf(held.closed()),
    awaited.map(String),
    keyRounds.resting(),
    keyRounds.takers(),
  ]
  const { rows: keyed, full } =
    isAllOpen(owned) && busy.size === 0
      ? await readBounded(owned, readFirstsSql, limit, valuesFor, pointers.isFarBack())
      : await readBounded(owned, readFreeFirstsSql, limit, freeValuesFor, pointers.isFarBack())
  const searches = afterKey === '' && !busy.has('') && looksForStrays(owned)
  const strays = searches ? await readStray(owned) : []
  const rows = [...keyed, ...strays]
  remember(owned, rows)
  // A row that is not the first of its key may be behind one that committed late or came back from the parked ones.
  const firsts = new Map(rows.map((row) => [row.orderingKey, row.id]))
  const isBehind = (id: bigint): boolean => {
    const key = held.keyOf(id)
    if (key === '') return !searches
    return (key !== null && busy.has(key)) || (firsts.get(key) ?? id) < id
  }
  if (afterKey === '' && !full) {
    forgetMissing(
      owned,
      awaited.filter((id) => !isBehind(id)),
      rows,
    )
  }
  const lastKey = keyed.at(-1)?.orderingKey ?? ''
  const ended = keyRounds.read(lastKey, full)
  if (rows.length === 0) ended(0)
  return { rows, full, lastKey, ended }
}

const noKeys: ReadonlySet<string> = new Set()

/** A row in a key lane without a key, which nothing here writes: one at a time, since nobody knows their order. */
const readStray = async ({ session, lane, pointers, strays }: OwnedLane): Promise<LaneRow[]> => {
  const values = [lane, String(pointers.floor())]
  const { rows } = await session.query({ ...readStraySql, mayTakeLong: pointers.isFarBack() }, values)
  if (rows.length === 0) strays.foundNone()
  return rows.map(parseLaneRow)
}

/** Lifts the floor up to the lane's first row, a parked one too, as far as no row can appear below it any more. */
const raiseFloor = async (owned: OwnedLane): Promise<void> => {
  const { session, lane, pointers } = owned
  await seeWriters(owned)
  const read = pointers.startRead(null)
  const values = [lane, String(read.floor)]
  const { rows } = await session.query({ ...lowestSql, mayTakeLong: pointers.isFarBack() }, values)
  read.answered(null, parseId(rows[0]))
}

// A parked row that is tried again comes back under its old id, so the floor waits below it.
const lowestSql = {
  name: 'lowest_row',
  text: `
    select least(
      (select id from outbox_message where lane = $1 and id > $2 order by id limit 1),
      (select id from outbox_parked where lane = $1 order by id limit 1)
    ) as id`,
}

// Row by row: a join may read the whole lane to find the few that were chosen.
const readFirsts = (name: string, isFree: string): BoundedRead =>
  boundedRead(
    name,
    'position',
    (columns) => `
    with ${keySteps('$3', '$1', '$2')}, chosen as (
      select id, position from first where ${isFree} and ${isNotParked('$1')} limit $4
    )
    select ${columns}
    from (
      select message.*, position
      from chosen, lateral (select * from outbox_message where lane = $1 and id = chosen.id offset 0) as message
    ) as firsts
    order by position`,
  )

// Where nothing is held back and nothing rests.
const readFirstsSql = readFirsts('read_firsts', 'true')

const isFree = `${isToOpen('$6::text[]', '$7::text[]', '$8::text[]')}
        and ${doesNotRest('$10::text', `routing_key in ${hashed('$11::text[]')}`)}`

const readFreeFirstsSql = readFirsts(
  'read_free_firsts',
  `ordering_key not in ${hashed('$5::text[]')}
      and ${isFirst('$1', `${isFree} or id in ${hashed('$9::bigint[]')}`)}`,
)

const readStraySql = {
  name: 'read_stray',
  text: `select ${laneColumns} from outbox_message where ${strayCondition('$1', '$2')} order by id limit 1`,
}
