import { readColumns } from '../../read-columns.ts'
import type { ControlSession } from './control-session.ts'
import { lockClasses, ownedLanesSql } from './lane-lock.ts'

/** How often a relay looks after the register of lanes, milliseconds. */
export const tendMs = 3_600_000

/** How soon it does after it has its control session, milliseconds: a pod may not live for an hour. */
export const firstTendMs = 300_000

/** How long a pod's lane stays in the register without an owner and without rows, days. */
const keptDays = 7

/** After so many days without an owner it is looked whether a lane has rows. */
const unlookedDays = keptDays - 1

/**
 * Removes the lanes of pods that are long gone: without an owner and without rows for a week. A worker that wakes after
 * that still writes to the lane it knew, so lanes that hold rows and are not in the register are put back into it, under
 * their number, and then found like any that lost its relay.
 *
 * A look into a lane passes every deleted row of it that somebody's snapshot keeps. So one that has no owner is looked into
 * in its last day only, and those of the register never for the sake of others.
 *
 * Locks: rows of `outbox_lane`, for a statement each, and only such as nobody has locked: who registers a lane has its row
 * for as long as a transaction is open, and all lanes of the relay would wait with this session. So it cannot deadlock.
 */
export const tendRegister = async (session: ControlSession): Promise<void> => {
  const { rows } = await session.query(seeLanesSql, [lockClasses.owner, unlookedDays, keptDays])
  const unused = rows.map((row) => readColumns(row, 'a lane that nobody uses', { lane: 'number' }).lane)
  await session.query(removeLanesSql, [unused, keptDays])
  await session.query(restoreLanesSql('outbox_message'), [])
  await session.query(restoreLanesSql('outbox_scheduled'), [])
}

// Each is asked as a value: for an `exists` Postgres may read the whole table, to look the lanes up in what it found.
// Locked are those that are used alone: whoever registers another one meanwhile must be able to say that it is seen.
const seeLanesSql = {
  mayTakeLong: true,
  text: `
    with old as materialized (
      select id, seen_at, case
          when id in (${ownedLanesSql}) then true
          when seen_at < now() - $2::int * interval '1 day' then
            (select true from outbox_message where lane = outbox_lane.id limit 1)
            or (select true from outbox_scheduled where lane = outbox_lane.id limit 1)
            or (select true from outbox_parked where lane = outbox_lane.id limit 1)
        end is true as used
      from outbox_lane where kind = 'pod' and seen_at < now() - interval '1 hour'
    ), free as materialized (
      select id from outbox_lane where id in (select id from old where used) for no key update skip locked
    ), seen as (
      update outbox_lane set seen_at = now() where id in (select id from free)
    )
    select id as lane from old where not used and seen_at < now() - $3::int * interval '1 day'`,
}

// Of those that were found unused, and not what was locked before and is free now: nobody has looked whether it is used.
const removeLanesSql = {
  text: `
    delete from outbox_lane where id in (
      select id from outbox_lane
      where id = any($1::int[]) and seen_at < now() - $2::int * interval '1 day' for update skip locked
    )`,
}

/**
 * Steps from lane to lane through the numbers between those of the register, so a lane with any number of rows costs one
 * step, and one of the register none. A number whose name somebody has given to another lane gets a longer one.
 */
const restoreLanesSql = (table: 'outbox_message' | 'outbox_scheduled') => ({
  mayTakeLong: true,
  text: `
    with recursive gap as materialized (
      select id::bigint as above, coalesce(lead(id) over (order by id), ${2n ** 31n}) as below from outbox_lane
      union all
      select -${2n ** 31n + 1n}, coalesce(min(id), ${2n ** 31n}) from outbox_lane
    ), found as (
      select below, (select min(lane) from ${table} where lane > above and lane < below) as lane from gap
      union all
      select below, (select min(next.lane) from ${table} as next where next.lane > found.lane and next.lane < below)
      from found
      where found.lane is not null
    )
    insert into outbox_lane (id, name) overriding system value
    select lane, 'lane ' || lane || case
      when exists (select from outbox_lane where name = 'lane ' || lane) then ' ' || gen_random_uuid() else '' end
    from found
    where lane is not null
    on conflict do nothing`,
})
