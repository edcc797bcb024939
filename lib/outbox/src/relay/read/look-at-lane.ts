import { OutboxError } from '../../errors.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import { readParked } from './read-key-lane.ts'

/** What a relay must know before it may sleep. */
export type Look = {
  /** The oldest transaction that was in progress. Every one that is older had ended before the look. */
  xmin: bigint
  /** There is a row to be published. */
  waiting: boolean
  /** Milliseconds until the next scheduled row is due, 0 if one is, or null if there is none. */
  nextDueMs: number | null
}

/**
 * One statement, so that all of it is of one snapshot: with two, a transaction could end between them, older than the
 * one and unseen by the other.
 *
 * Locks nothing.
 */
export const lookAtLane = async (owned: OwnedLane): Promise<Look> => {
  const { session, lane, kind, pointers, known, held } = owned
  const floor = String(pointers.floor())
  const parked = kind === 'key' ? (await readParked(owned)).keys : []
  const { rows } =
    kind === 'key'
      ? await session.query(lookAtKeyLaneSql, [lane, floor, [...held.waitingKeys(), ...parked]])
      : await session.query(lookSql, [lane, floor, [...known, ...held.waiting()].map(String)])
  return parseLook(rows[0])
}

const parseLook = (row: unknown): Look => {
  if (
    typeof row === 'object' &&
    row !== null &&
    'xmin' in row &&
    typeof row.xmin === 'string' &&
    'waiting' in row &&
    typeof row.waiting === 'boolean' &&
    'ms' in row &&
    (row.ms === null || typeof row.ms === 'number')
  ) {
    const nextDueMs = row.ms === null ? null : Math.max(0, Math.ceil(row.ms))
    return { xmin: BigInt(row.xmin), waiting: row.waiting, nextDueMs }
  }
  throw new OutboxError('row_invalid', 'the look at a lane gave columns of other types than expected')
}

const lookFor = (rowToPublish: string): string => `
    select pg_snapshot_xmin(pg_current_snapshot())::text as xmin,
      exists (${rowToPublish}) as waiting,
      (
        select (extract(epoch from min(available_at) - clock_timestamp()) * 1000)::float8
        from outbox_scheduled where lane = $1
      ) as ms`

const lookSql = {
  name: 'look_at_lane',
  text: lookFor('select from outbox_message where lane = $1 and id > $2 and id <> all($3::bigint[])'),
}

const lookAtKeyLaneSql = {
  name: 'look_at_key_lane',
  text: lookFor(`
select from outbox_message
        where lane = $1 and id > $2 and coalesce(ordering_key, '') <> all($3::text[])`),
}
