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
 * Locks: rows of `outbox_lane`, for a statement each.
 */
export const tendRegister = async (session: ControlSession): Promise<void> => {
  await session.query(seeLanesSql, [lockClasses.owner, unlookedDays])
  await session.query(removeLanesSql, [keptDays])
  await session.query(restoreLanesSql('outbox_message'), [])
  await session.query(restoreLanesSql('outbox_scheduled'), [])
}

// Each is asked as a value: for an `exists` Postgres may read the whole table, to look the lanes up in what it found.
const seeLanesSql = {
  mayTakeLong: true,
  text: `
    update outbox_lane set seen_at = now()
    where kind = 'pod' and seen_at < now() - interval '1 hour' and case
      when id in (${ownedLanesSql}) then true
      when seen_at < now() - $2::int * interval '1 day' then
        (select true from outbox_message where lane = outbox_lane.id limit 1)
        or (select true from outbox_scheduled where lane = outbox_lane.id limit 1)
        or (select true from outbox_parked where lane = outbox_lane.id limit 1)
      else false end`,
}

const removeLanesSql = {
  text: `delete from outbox_lane where kind = 'pod' and seen_at < now() - $1::int * interval '1 day'`,
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
