import { readColumns } from '../../read-columns.ts'
import { parseLane, type RegisteredLane } from '../../register/find-or-add-lane.ts'
import type { ControlSession } from './control-session.ts'
import { locksSql, lockClasses, ownedLanesSql } from './lane-lock.ts'
import { neighbourLocks } from './neighbours.ts'
import type { OrphanWatch } from './orphan-watch.ts'

/** How long one look goes on from lane to lane, milliseconds. Those that it has not come to have their turn by chance. */
const sweepMs = 50

/** Longer than any statement may take: for a look that is to come to all of them. */
export const longestSweepMs = 3_600_000

/**
 * Lanes that nobody owns and that hold rows, or scheduled rows that are due, or are no pod's own. In the order of chance:
 * relays that look at the same moment should not all ask for the same one.
 *
 * The locks are looked at first. A lane with an owner may have any number of dead rows at its head, which a look for its
 * first row would pass one by one as long as some session's snapshot keeps them. So it does in one that was emptied and
 * left under such a snapshot: the watch has it rest between two looks.
 */
export const findOrphans = async (
  session: ControlSession,
  watch: OrphanWatch,
  limit: number,
  forMs = sweepMs,
): Promise<RegisteredLane[]> => {
  const { rows } = await session.query(findOrphansSql, [lockClasses.owner, limit, watch.resting(), forMs])
  return rows.flatMap((row) => {
    const { lane, owned, holds, ms } = readColumns(row, 'a lane that was looked at', {
      lane: 'number',
      owned: 'boolean',
      holds: 'boolean',
      ms: 'number',
    })
    if (owned) watch.foundOwned(lane)
    else if (!holds) watch.foundNone(lane, ms)
    return holds ? [parseLane(row)] : []
  })
}

/** A lane that nobody will carry. `isHeld`: its owner leaves it, and has not come to that yet. */
export type LastOrphan = { lane: RegisteredLane; isHeld: boolean }

/** The lanes that are no pod's own, and those of the numbers, that nobody carries, whether they hold anything or not. */
export const findLastOrphans = async (session: ControlSession, others: readonly number[]): Promise<LastOrphan[]> => {
  const { rows } = await session.query(findLastOrphansSql, [lockClasses.owner, lockClasses.adopter, others])
  return rows.map((row) => ({
    lane: parseLane(row),
    isHeld: readColumns(row, 'a lane that nobody carries', { held: 'boolean' }).held,
  }))
}

// As values: for an `exists` Postgres may read the whole table, to look the lanes up in what it found.
const holdsRows = `(
      (select true from outbox_message where lane = unowned.id limit 1)
      or (select true from outbox_scheduled where lane = unowned.id and available_at <= now() limit 1)
    )`

/** A look that takes longer than this has passed many deleted rows, or had to wait, milliseconds. */
const longMs = 1

// The time is that of Postgres, from the first look on. So there is at least that one, however late the statement is.
const findOrphansSql = {
  name: 'find_orphans',
  mayTakeLong: true,
  text: `
    with owned as materialized (${ownedLanesSql}), unowned as materialized (
      select id, name, kind, fence from outbox_lane
      where id <> all (select number from owned) and id <> all ($3::int[])
      order by random()
    ), look as materialized (
      select *, clock_timestamp() as began, case
          when kind <> 'pod' then true
          when clock_timestamp() <= (select clock_timestamp()) + $4::int * interval '1 ms' then coalesce(${holdsRows}, false)
        end as holds, clock_timestamp() as ended
      from unowned
    ), told as (
      (select * from look where holds limit $2)
      union all
      select * from look where not holds and ended - began > interval '${longMs} ms'
    )
    select id as lane, name, kind, fence, false as owned, holds, (extract(epoch from ended - began) * 1000)::float8 as ms
    from told
    union all
    select number, '', 'pod', null, true, false, 0 from owned where number = any($3::int[])`,
}

// A relay asks at its stop, again and again while one of them is held, and reads and deletes by the same session.
const findLastOrphansSql = {
  text: `
    with leaving as materialized (
      select pid from (${locksSql('$2')}) as locks where number = ${neighbourLocks.leaving}
    )
    select id as lane, name, kind, fence, pid is not null as held from outbox_lane
    left join (${locksSql('$1')}) as locks on number = id
    where (kind <> 'pod' or id = any($3::int[])) and (pid is null or pid in (select pid from leaving))`,
}
