import type { Queryable } from '../adapters/queryable.ts'
import { rowsOf } from '../adapters/rows-of.ts'
import { OutboxError } from '../errors.ts'
import { readColumns } from '../read-columns.ts'

const laneKinds = ['pod', 'key', 'always'] as const

/** Whose lane it is: a pod's own, one of the key lanes, or the one whose relay always runs. */
export type LaneKind = (typeof laneKinds)[number]

/** A lane as it is in the register. */
export type RegisteredLane = {
  /** The lane's number. */
  lane: number
  name: string
  kind: LaneKind
  /** The exclusive queue of the lane's owner, by which RabbitMQ lets one relay at a time publish in a key lane. */
  fence: string
}

/**
 * The lane with this name, of whatever kind; one of this kind is added if there is none.
 *
 * @throws OutboxError `lane_invalid` if somebody removes it meanwhile.
 */
export const findOrAddLane = async (db: Queryable, name: string, kind: LaneKind): Promise<RegisteredLane> => {
  // Looking first spares the sequence: an insert that does nothing draws an id all the same, and every start is one.
  const known = await findLane(db, name)
  if (known !== null) return known
  for (;;) {
    const rows = await rowsOf(db, addLaneSql, [name, kind])
    const added = await findLane(db, name)
    if (added !== null) return added
    if (rows.length > 0) throw new OutboxError('lane_invalid', `the lane ${name} was removed while it was registered`)
    // The number that was drawn is that of a lane which was put back into the register. The next one may be free.
  }
}

/** @throws OutboxError `row_invalid`. */
export const parseLane = (row: unknown): RegisteredLane => {
  const { lane, name, kind, fence } = readColumns(row, 'outbox_lane', {
    lane: 'number',
    name: 'string',
    kind: 'string',
    fence: 'string',
  })
  if (!isLaneKind(kind)) throw new OutboxError('row_invalid', `outbox_lane: the lane ${name} is of the kind ${kind}`)
  return { lane, name, kind, fence }
}

const isLaneKind = (kind: string): kind is LaneKind => laneKinds.some((known) => known === kind)

const findLane = async (db: Queryable, name: string): Promise<RegisteredLane | null> => {
  const rows = await rowsOf(db, findLaneSql, [name])
  return rows.length === 0 ? null : parseLane(rows[0])
}

/**
 * Whoever asks for a lane is about to use it, so it must not be removed now, however long it lay idle.
 *
 * Locks: the lane's row until the caller's transaction ends, in two ways. `for key share` keeps it from being removed, and
 * waits for a removal alone, which is one short statement that waits for nobody itself. Who else has the row's stronger
 * lock has seen the lane, and may keep it for as long as a transaction is open: then what was seen is left to them. So it
 * cannot deadlock. If they roll back, a lane without an owner that lay idle for a week may be removed for all that, and
 * what is written to it waits until the register is tended.
 */
const findLaneSql = `
  with known as materialized (
    select id, name, kind, fence from outbox_lane where name = $1 for key share
  ), free as materialized (
    select id from outbox_lane where id in (select id from known) for no key update skip locked
  ), seen as (
    update outbox_lane set seen_at = now() where id in (select id from free)
  )
  select id as lane, name, kind, fence from known`

/**
 * Locks: the name, which waits for whoever has added it and has not ended yet: its number is not to be known before. Of two
 * transactions that add the same names the other way about Postgres gives one up.
 */
const addLaneSql = `insert into outbox_lane (name, kind) values ($1, $2) on conflict do nothing returning id`
