import { readColumns } from '../../read-columns.ts'
import { awaitedRows, type OwnedLane, takenRows } from '../lane/owned-lane.ts'
import type { ControlSession } from '../own/control-session.ts'
import { columnsOfAll, hashed, hashedRows } from './left-out.ts'

/** How long the looks of one statement go on, milliseconds. Whatever else the relay reads and deletes waits meanwhile. */
const lookMs = 50

/** Ids in a stretch. All of them may be dead rows of the lane, of which a million takes a second or so. */
export const stretchIds = 10_000

/**
 * Looks below the floors for a row that reads from there on would never bring, in those of the lanes where that is due,
 * and says in which of them there is one. Those are read from their beginning then.
 *
 * It comes down from the floors, that of the lane first which has waited for it most, for as long as a statement may take,
 * and at least one stretch.
 *
 * Locks nothing: only the lane's owner reads it.
 */
export const lookBelow = async (
  session: ControlSession,
  lanes: readonly OwnedLane[],
  forMs = lookMs,
): Promise<OwnedLane[]> => {
  const due = lanes
    .flatMap((owned) => {
      const from = owned.below.from(owned.pointers.floor())
      return from === null ? [] : [{ owned, from }]
    })
    .toSorted((one, other) => one.owned.below.dueAtMs() - other.owned.below.dueAtMs())
  if (due.length === 0) return []
  const owneds = due.map(({ owned }) => owned)
  const closed = columnsOfAll(owneds)
  const { rows } = await session.query(lookBelowSql, [
    owneds.map(({ lane }) => lane),
    due.map(({ from }) => String(from)),
    forMs,
    owneds.flatMap((owned) => takenRows(owned, 0n).concat(awaitedRows(owned).map(String))),
    ...closed,
  ])
  const looks = new Map(rows.map(parseLook).map((look) => [look.lane, look]))
  // Each look rests for the time of all, so that together they have no more than one would have.
  const ms = Math.max(0, ...[...looks.values()].map(({ endedMs }) => endedMs))
  const withRows = due.filter(({ owned: { lane, below, pointers }, from }) => {
    const look = looks.get(lane)
    // There may have been no time for it: it is due as before, and the first one the next time.
    if (look === undefined || look.reached === from) return false
    const { reached, found } = look
    // There may be others below it, earlier ones of its key among them: all of them go out in their order.
    below.came(found === null ? reached : 0n, ms)
    if (found !== null) pointers.goBack(0n)
    return found !== null
  })
  return withRows.map(({ owned }) => owned)
}

/** `endedMs`: how long the statement had run when it came to the end of this look. */
type Look = { lane: number; reached: bigint; found: bigint | null; endedMs: number }

const parseLook = (row: unknown): Look => {
  const { lane, reached, found, endedMs } = readColumns(row, 'the look below a floor', {
    lane: 'number',
    reached: 'string',
    found: 'string?',
    endedMs: 'number',
  })
  return { lane, endedMs, reached: BigInt(reached), found: found === null ? null : BigInt(found) }
}

// What was read and is held back, or is to a closed destination, may well be below the floor.
const isUnknown = `id not in ${hashed('$4::bigint[]')}
            and (own.lane, exchange, routing_key) not in ${hashedRows('$5::int[]', '$6::text[]', '$7::text[]')}
            and (own.lane, exchange) not in ${hashedRows('$8::int[]', '$9::text[]')}`

const isInTime = `clock_timestamp() < statement_timestamp() + $3::int * interval '1 ms'`

/** How far down the stretch below this id goes, and the last row in it, if there is one. */
const stretchBelow = (id: string): string => `greatest(${id} - ${stretchIds}, 0), (
          select max(id) from outbox_message
          where lane = own.lane and id > greatest(${id} - ${stretchIds}, 0) and id <= ${id}
            and ${isUnknown}
        )`

// It comes down stretch by stretch, to the first one that has a row. Each passes what it holds of rows that are deleted and
// kept by somebody's snapshot: that may be all that was ever published, or nothing in a billion ids. So it goes on for a
// time from the statement's beginning, and in the first lane for one stretch at least. Postgres says how long that took:
// by our clock it would have the wait for the session in it.
const lookBelowSql = {
  name: 'look_below',
  text: `
    select own.lane, look.reached::text as reached, look.found::text as found,
      (extract(epoch from clock_timestamp() - statement_timestamp()) * 1000)::float8 as "endedMs"
    from unnest($1::int[], $2::bigint[]) with ordinality as own (lane, place, number), lateral (
      with recursive stretch (reached, found) as (
        select ${stretchBelow('own.place')}
        where own.number = 1 or ${isInTime}
        union all
        select ${stretchBelow('stretch.reached')}
        from stretch
        where stretch.reached > 0 and stretch.found is null and ${isInTime}
      )
      select coalesce(min(reached), own.place) as reached, max(found) as found from stretch
    ) as look`,
}
