import { parseLane, type RegisteredLane } from '../../lane/find-or-add-lane.ts'
import { readColumns } from '../../read-columns.ts'
import { createDecidedIds } from '../read/decided-ids.ts'
import { giveUpIds, idsTable, type IdWatch } from '../read/id-watch.ts'
import { lookMs, restPart, stretches } from '../read/stretches.ts'
import type { ControlSession } from './control-session.ts'
import { lockClasses, ownedLanesSql } from './lane-lock.ts'

export type OrphanSearch = {
  /**
   * Lanes that nobody owns and that hold rows, or scheduled rows that are due, or are no pod's own; at most `limit`, in the
   * order of chance: relays that look at the same moment should not all ask for the same one. Where not `isWhole`, time was
   * over before all were looked at, and the next call goes on. `lastRead` is the last id that the relay read.
   *
   * Locks: the sequence of ids, as whoever draws one does.
   *
   * @throws OutboxError `session_lost`, also when the ids went back.
   */
  next: (limit: number, lastRead: bigint) => Promise<{ orphans: RegisteredLane[]; isWhole: boolean }>
}

/** How long floors are believed, milliseconds. */
const beliefMs = 60_000

/** What is known of a lane that nobody owns. */
type Seen = {
  /** Nothing is there up to this id, and nothing can appear there. */
  floor: bigint
  /** How far down a look came that has not come to the floor, and what was decided when it began. */
  look: { place: bigint; decided: bigint } | null
}

/**
 * The locks are looked at first: a lane with an owner needs no look. One without may have any number of dead rows all the
 * same, which a look for its first row passes as long as some session's snapshot keeps them: that of a pod that is gone, or
 * of a CronJob between two ticks. So a look comes down from the last id that was drawn, in parts, and only to the floor,
 * which rises after it as that of an own lane does.
 *
 * The last id that was drawn is told to relays with `select` on the sequence. Others have the last one that they read
 * themselves, and pass all that is above it.
 */
export const createOrphanSearch = (
  session: ControlSession,
  ids: IdWatch,
  { now = () => performance.now(), forMs = lookMs } = {},
): OrphanSearch => {
  const decidedIds = createDecidedIds()
  let last = ids.drawn
  let lanes = new Map<number, Seen>()
  /** Until when the floors are believed; null while there are none, and how long it took by then to have them. */
  let believedUntilMs: number | null = null
  let tookMs = 0

  return {
    next: async (limit, lastRead) => {
      if (believedUntilMs !== null && now() >= believedUntilMs) {
        lanes = new Map()
        believedUntilMs = null
        tookMs = 0
      }
      if (lastRead > last) last = lastRead
      const drawn = last
      const decided = decidedIds.upTo()
      const seen = [...lanes]
      const sentMs = now()
      const { rows } = await session.query(findOrphansSql, [
        lockClasses.owner,
        limit,
        String(drawn),
        decidedIds.wants(drawn),
        forMs,
        seen.map(([lane]) => lane),
        seen.map(([, { floor }]) => String(floor)),
        seen.map(([, { look }]) => (look === null ? null : String(look.place))),
      ])
      if (ids.wentBack(rows[0], drawn)) giveUpIds(session)
      const { xmin, xid, drawnNow, wholes } = parseSearch(rows[0])
      decidedIds.sawXmin(xmin)
      if (xid !== null) decidedIds.drewXid(xid, drawn)
      if (drawnNow !== null && drawnNow > last) last = drawnNow

      const found = rows.map(parseFound)
      const before = lanes
      const beginOf = (lane: number): bigint => before.get(lane)?.look?.decided ?? decided
      // Of one that somebody owned meanwhile nothing is known any more: what went out since is above its floor.
      lanes = new Map(wholes.map((lane) => [lane, { floor: beginOf(lane), look: null }]))
      for (const { lane, place } of found) {
        if (place === null) continue
        const floor = before.get(lane)?.floor ?? 0n
        lanes.set(lane, { floor, look: { place, decided: beginOf(lane) } })
      }
      const isWhole = found.every(({ place }) => place === null)
      if (believedUntilMs === null) {
        tookMs += now() - sentMs
        if (isWhole) believedUntilMs = now() + Math.max(beliefMs, restPart * tookMs)
      }
      return { orphans: found.flatMap(({ orphan }) => (orphan === null ? [] : [orphan])), isWhole }
    },
  }
}

const parseSearch = (row: unknown) => {
  const { xmin, xid, last, wholes } = readColumns(row, 'the search for lanes without an owner', {
    xmin: 'string',
    xid: 'string?',
    last: 'string?',
    wholes: 'strings',
  })
  return {
    xmin: BigInt(xmin),
    xid: xid === null ? null : BigInt(xid),
    drawnNow: last === null ? null : BigInt(last),
    wholes: wholes.map(Number),
  }
}

/** A lane that is to be taken, or one that was not looked at to the end, or, where there is none of both, neither. */
const parseFound = (row: unknown): { lane: number; orphan: RegisteredLane | null; place: bigint | null } => {
  const { lane, holds, place } = readColumns(row, 'a lane without an owner', {
    lane: 'number?',
    holds: 'boolean',
    place: 'string?',
  })
  return {
    lane: lane ?? 0,
    orphan: holds ? parseLane(row) : null,
    place: holds || place === null ? null : BigInt(place),
  }
}

// Rows are asked for as values: for an `exists` Postgres may read the whole table, to look the lanes up in what it found.
const findOrphansSql = {
  name: 'find_orphans',
  // One that knows of no id, or of an old one, may have to pass many deleted rows.
  mayTakeLong: true,
  text: `
    with ids as materialized (${idsTable}
    ), unowned as materialized (
      select id as lane, name, kind, fence, coalesce(floor, 0) as floor,
        case when kind = 'pod' then coalesce(place, $3::bigint) else 0 end as place,
        row_number() over () as number
      from outbox_lane
      left join unnest($6::int[], $7::bigint[], $8::bigint[]) as seen (lane, floor, place) on seen.lane = id
      where id <> all (${ownedLanesSql})
    ), looked as materialized (
      select lane, name, kind, fence, floor, look.reached as place, kind <> 'pod' or look.found is not null
        or coalesce((select true from outbox_message where lane = unowned.lane and id > $3::bigint limit 1), false)
        or coalesce((select true from outbox_scheduled where lane = unowned.lane and available_at <= now() limit 1), false)
        as holds
      from unowned, lateral (${stretches({
        lane: 'unowned.lane',
        floor: 'unowned.floor',
        place: 'unowned.place',
        forMs: '$5',
        isFirst: 'unowned.number = 1',
      })}
      ) as look
    ), orphan as (
      select * from looked where holds order by random() limit $2
    )
    select ids.file, ids.last, pg_snapshot_xmin(pg_current_snapshot())::text as xmin,
      case when $4 and exists (select from looked where kind = 'pod') then pg_current_xact_id()::text end as xid,
      to_json(array(select lane::text from looked where not holds and place <= floor)) as wholes,
      told.lane, told.name, told.kind, told.fence, coalesce(told.holds, false) as holds, told.place::text as place
    from ids left join (
      select * from orphan
      union all
      select * from looked where not holds and place > floor
    ) as told on true`,
}
