import { parseLane, type RegisteredLane } from '../../lane/find-or-add-lane.ts'
import type { ControlSession } from './control-session.ts'
import { lockClasses, ownedLanesSql } from './lane-lock.ts'

/**
 * Lanes that nobody owns and that hold rows, or scheduled rows that are due, or are no pod's own. In the order of chance:
 * relays that look at the same moment should not all ask for the same one.
 *
 * The locks are looked at first. A lane with an owner may have any number of dead rows at its head, which a look for its
 * first row would pass one by one as long as some session's snapshot keeps them.
 */
export const findOrphans = async (session: ControlSession, limit: number): Promise<RegisteredLane[]> => {
  const { rows } = await session.query(findOrphansSql, [lockClasses.owner, limit])
  return rows.map(parseLane)
}

/** Of these the lanes of ordering keys that hold rows, or scheduled rows that are due. */
export const findKeyOrphans = async (session: ControlSession): Promise<RegisteredLane[]> => {
  const { rows } = await session.query(findKeyOrphansSql, [lockClasses.owner])
  return rows.map(parseLane)
}

const unowned = `
    with unowned as materialized (
      select id, name, kind, fence from outbox_lane
      where id <> all (${ownedLanesSql})
    )
    select id as lane, name, kind, fence from unowned`

const holdsRows = `(
      exists (select from outbox_message where lane = unowned.id)
      or exists (select from outbox_scheduled where lane = unowned.id and available_at <= now())
    )`

const findOrphansSql = {
  name: 'find_orphans',
  text: `${unowned}
    where kind <> 'pod' or ${holdsRows}
    order by random()
    limit $2`,
}

// A relay asks once, at its stop.
const findKeyOrphansSql = { text: `${unowned} where kind = 'key' and ${holdsRows}` }
