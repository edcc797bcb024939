import type { ControlSession } from './control-session.ts'
import { lockClasses, ownedLanesSql } from './lane-lock.ts'

/** How often a relay looks after the register of lanes, milliseconds. */
export const tendMs = 3_600_000

/** How soon it does after it has its control session, milliseconds: a pod may not live for an hour. */
export const firstTendMs = 300_000

/** How long a pod's lane stays in the register without an owner and without rows, days. */
const keptDays = 7

/**
 * Removes the lanes of pods that are long gone: without an owner and without rows for a week. A worker that wakes after
 * that still writes to the lane it knew, so lanes that hold rows and are not in the register are put back into it, under
 * their number, and then found like any that lost its relay.
 *
 * Locks: rows of `outbox_lane`, for a statement each.
 */
export const tendRegister = async (session: ControlSession): Promise<void> => {
  await session.query(seeLanesSql, [lockClasses.owner])
  await session.query(removeLanesSql, [keptDays])
  await session.query(restoreLanesSql('outbox_message'), [])
  await session.query(restoreLanesSql('outbox_scheduled'), [])
}

const seeLanesSql = {
  text: `
    update outbox_lane set seen_at = now()
    where kind = 'pod' and seen_at < now() - interval '1 hour' and (
      id in (${ownedLanesSql})
      or exists (select from outbox_message where lane = outbox_lane.id)
      or exists (select from outbox_scheduled where lane = outbox_lane.id)
      or exists (select from outbox_parked where lane = outbox_lane.id)
    )`,
}

const removeLanesSql = {
  text: `delete from outbox_lane where kind = 'pod' and seen_at < now() - $1::int * interval '1 day'`,
}

/** Steps from lane to lane, so a lane with any number of rows costs one step. */
const restoreLanesSql = (table: 'outbox_message' | 'outbox_scheduled') => ({
  text: `
    with recursive found as (
      (select min(lane) as lane from ${table})
      union all
      select (select min(next.lane) from ${table} as next where next.lane > found.lane) from found
      where found.lane is not null
    )
    insert into outbox_lane (id, name) overriding system value
    select lane, 'lane ' || lane from found
    where lane is not null and not exists (select from outbox_lane where id = lane)
    on conflict do nothing`,
})
