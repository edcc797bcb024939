import { readColumns } from '../../read-columns.ts'
import { awaitedRows, isAllOpen, looksForStrays, lowestRow, type OwnedLane, takenRows } from '../lane/owned-lane.ts'
import type { ControlSession } from '../own/control-session.ts'
import { giveUpIds, idsTable } from './id-watch.ts'
import { isFirst, isNotParked, keySteps, strayCondition } from './key-steps.ts'
import { columnsOfAll, doesNotRest, hashed, hashedRows } from './left-out.ts'

/** What a relay must know of a lane before it may sleep, and while it does. */
export type Look = {
  lane: number
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
 * It gives the session up when the ids went back, since that is as good as another database.
 *
 * Locks: the sequence of ids, as whoever draws one does.
 *
 * @throws OutboxError `session_lost`.
 */
export const lookAtLanes = async (session: ControlSession, lanes: readonly OwnedLane[]): Promise<Look[]> => {
  const views = lanes.map((owned) => {
    const read = owned.pointers.startRead(lowestRow(owned))
    const floor = owned.kind === 'key' ? read.floor : owned.rounds.begin(read.floor)
    return { owned, read, floor, searched: looksForStrays(owned), cursor: owned.pointers.cursor() }
  })
  const keyed = lanes.filter(({ kind }) => kind === 'key')
  const others = views.filter(({ owned }) => owned.kind !== 'key')
  const mayTakeLong = lanes.some(({ pointers }) => pointers.isFarBack())
  const values = [
    lanes.map(({ lane }) => lane),
    lanes.map(({ kind }) => kind === 'key'),
    views.map(({ floor }) => String(floor)),
    views.map(({ searched }) => searched),
    lanes.map(({ keyRounds }) => keyRounds.resting()),
    others.flatMap(({ owned, floor }) => takenRows(owned, floor)),
  ]
  const closed = columnsOfAll(lanes)
  const takers = keyed.flatMap(({ lane, keyRounds }) => keyRounds.takers().map((queue) => ({ lane, queue })))
  const { rows } = lanes.every(isAllOpen)
    ? await session.query({ ...lookSql, mayTakeLong }, values)
    : await session.query({ ...lookAtOpenSql, mayTakeLong }, [
        ...values,
        keyed.flatMap(({ held }) => held.waitingKeys()),
        ...closed,
        views.flatMap(({ owned, floor }) => awaitedRows(owned).filter((id) => id > floor)).map(String),
        takers.map(({ lane }) => lane),
        takers.map(({ queue }) => queue),
      ])
  if (views.some(({ owned, cursor }) => owned.ids.wentBack(rows[0], cursor))) {
    giveUpIds(session)
  }
  const looks = rows.map(parseLook)
  for (const { owned, read, floor, searched } of views) {
    const isEmpty = looks.some(({ lane, waiting }) => lane === owned.lane && !waiting)
    if (!isEmpty) continue
    if (searched) owned.strays.foundNone()
    // It found no row, so it passed all of them over. In a key lane some are still to be read.
    if (owned.kind !== 'key' && floor === read.floor) read.answered(null, lowestRow(owned))
  }
  return looks
}

const parseLook = (row: unknown): Look => {
  const { lane, xmin, waiting, ms } = readColumns(row, 'the look at a lane', {
    lane: 'number',
    xmin: 'string',
    waiting: 'boolean',
    ms: 'number?',
  })
  return { lane, xmin: BigInt(xmin), waiting, nextDueMs: ms === null ? null : Math.max(0, Math.ceil(ms)) }
}

// Of a time without end, as somebody may have written it by hand, Postgres 15 and 16 subtract none.
// A key, and an id, is in one lane only, so what is held back can be given for all lanes at once. Where nothing is, only
// what was taken is left out.
const lookText = (isFree: string, isToBeRead: string): string => `
    with ids as materialized (${idsTable}
    )
    select ids.file, ids.last, own.lane, pg_snapshot_xmin(pg_current_snapshot())::text as xmin,
      case when own.keyed then exists (
        with ${keySteps("''", 'own.lane', 'own.floor')}
        select from first where ${isFree} and ${isNotParked('own.lane')}
      ) or case when own.searched then exists (
        select from outbox_message where ${strayCondition('own.lane', 'own.floor')}
      ) else false end
      else exists (
        select from outbox_message where lane = own.lane and id > own.floor and ${isToBeRead}
      ) end as waiting,
      (
        select ((extract(epoch from min(available_at)) - extract(epoch from clock_timestamp())) * 1000)::float8
        from outbox_scheduled where lane = own.lane
      ) as ms
    from unnest($1::int[], $2::bool[], $3::bigint[], $4::bool[], $5::text[])
      as own (lane, keyed, floor, searched, resting), ids`

const lookSql = {
  name: 'look_at_lanes',
  text: lookText('true', 'id <> all($6::bigint[])'),
}

const isToOpen = `(own.lane, exchange, routing_key) not in ${hashedRows('$8::int[]', '$9::text[]', '$10::text[]')}
        and (own.lane, exchange) not in ${hashedRows('$11::int[]', '$12::text[]')}`

const isAwaited = `id in ${hashed('$13::bigint[]')}`

const isToTaker = `(own.lane, routing_key) in ${hashedRows('$14::int[]', '$15::text[]')}`

const lookAtOpenSql = {
  name: 'look_at_open_lanes',
  text: lookText(
    `ordering_key not in ${hashed('$7::text[]')}
          and ${isFirst('own.lane', `${isToOpen} and ${doesNotRest('own.resting', isToTaker)} or ${isAwaited}`)}`,
    `id not in ${hashed('$6::bigint[]')} and (${isToOpen} or ${isAwaited})`,
  ),
}
