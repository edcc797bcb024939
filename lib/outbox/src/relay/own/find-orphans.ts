import { readColumns } from '../../read-columns.ts'
import { parseLane, type RegisteredLane } from '../../lane/find-or-add-lane.ts'
import type { ControlSession } from './control-session.ts'
import { locksSql, lockClasses } from './lane-lock.ts'
import { neighbourLocks } from './neighbours.ts'

/** A lane that holds rows and that nobody will carry. `isHeld`: its owner leaves it, and has not come to that yet. */
export type LastOrphan = { lane: RegisteredLane; isHeld: boolean }

/**
 * The lanes that are no pod's own, and those of the numbers, that hold rows, or scheduled rows that are due, and that
 * nobody carries.
 */
export const findLastOrphans = async (session: ControlSession, others: readonly number[]): Promise<LastOrphan[]> => {
  const { rows } = await session.query(findLastOrphansSql, [lockClasses.owner, lockClasses.adopter, others])
  return rows.map((row) => ({
    lane: parseLane(row),
    isHeld: readColumns(row, 'a lane that nobody carries', { held: 'boolean' }).held,
  }))
}

const holdsRows = `(
      exists (select from outbox_message where lane = unowned.id)
      or exists (select from outbox_scheduled where lane = unowned.id and available_at <= now())
    )`

// A relay asks at its stop.
const findLastOrphansSql = {
  text: `
    with leaving as materialized (
      select pid from (${locksSql('$2')}) as locks where number = ${neighbourLocks.leaving}
    ), unowned as materialized (
      select id, name, kind, fence, pid is not null as held from outbox_lane
      left join (${locksSql('$1')}) as locks on number = id
      where (kind <> 'pod' or id = any($3::int[])) and (pid is null or pid in (select pid from leaving))
    )
    select id as lane, name, kind, fence, held from unowned
    where ${holdsRows}`,
}
