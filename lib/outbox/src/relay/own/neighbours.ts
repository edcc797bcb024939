import { readColumns } from '../../read-columns.ts'
import type { ControlSession } from './control-session.ts'
import { lockClasses, locksSql } from './lane-lock.ts'

/** Other relays of the database that adopt lanes, and so take those that this one leaves. */
export type Neighbours = {
  /** This relay counts as one for the others. */
  join: () => Promise<void>
  /**
   * It does not any more, and is taken for one that leaves its lanes to others, until it says that it keeps them. Says
   * whether there are any.
   */
  leave: () => Promise<boolean>
  /** Whether there are any. */
  areThere: () => Promise<boolean>
  /** It is about to end, and carries its lanes until then, or until it leaves again. */
  keepLanes: () => Promise<void>
}

/** The second keys of their locks: of those who adopt lanes, and of those who leave theirs. */
export const neighbourLocks = { adopting: 0, leaving: 1 }

/**
 * Each of them shares one advisory lock, which its session gives back however it ends. A session may have a lock more than
 * once, and has to give it back as often. So none is asked for twice: what has failed may have had its lock, as one that
 * somebody cancels has, and is tried again.
 *
 * Locks: that one, and then the one of those who leave, shared by all who ask for them, so nobody waits.
 */
export const createNeighbours = (session: ControlSession): Neighbours => ({
  join: async () => void (await session.query(joinSql, [lockClasses.adopter])),
  leave: async () => {
    const { rows } = await session.query(leaveSql, [lockClasses.adopter])
    return readColumns(rows[0], 'the neighbours', { there: 'boolean' }).there
  },
  areThere: async () => {
    const { rows } = await session.query(areThereSql, [lockClasses.adopter])
    return readColumns(rows[0], 'the neighbours', { there: 'boolean' }).there
  },
  keepLanes: async () => void (await session.query(keepLanesSql, [lockClasses.adopter])),
})

const { adopting, leaving } = neighbourLocks

const isOurs = (lock: number): string =>
  `exists (select from (${locksSql('$1')}) as locks where number = ${lock} and pid = pg_backend_pid())`

const shareSql = (lock: number): string => `(select pg_advisory_lock_shared($1, ${lock}) where not ${isOurs(lock)})`

const joinSql = { text: `select ${shareSql(adopting)}` }

const areThere = `exists (
      select from (${locksSql('$1')}) as locks where number = ${adopting} and pid <> pg_backend_pid()
    ) as there`

const areThereSql = { text: `select ${areThere}` }

// From the one to the other at once: nobody is to find a relay that is neither, and holds lanes that it will leave. The
// look comes after it: of two relays that end together neither is to leave its lanes to the other. One that leaves
// again gives nothing back, nor does a session that began in the stop: Postgres would warn that it has no such lock.
const leaveSql = {
  text: `
    with gone as materialized (
      select ${shareSql(leaving)}, case when ${isOurs(adopting)} then pg_advisory_unlock_shared($1, ${adopting}) end
    )
    select ${areThere} from gone`,
}

const keepLanesSql = { text: `select pg_advisory_unlock_shared($1, ${leaving})` }
