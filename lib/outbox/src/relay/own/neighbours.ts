import { readColumns } from '../../read-columns.ts'
import type { ControlSession } from './control-session.ts'
import { lockClasses } from './lane-lock.ts'

/** Other relays of the database that adopt lanes, and so take those that this one leaves. */
export type Neighbours = {
  /** This relay counts as one for the others. */
  join: () => Promise<void>
  /** It does not any more: it is about to end. */
  leave: () => Promise<void>
  /** Whether there are any. */
  areThere: () => Promise<boolean>
}

/**
 * Each of them shares one advisory lock, which its session gives back however it ends.
 *
 * Locks: that one, shared by all who ask for it, so nobody waits.
 */
export const createNeighbours = (session: ControlSession): Neighbours => ({
  join: async () => void (await session.query(joinSql, [lockClasses.adopter])),
  leave: async () => void (await session.query(leaveSql, [lockClasses.adopter])),
  areThere: async () => {
    const { rows } = await session.query(areThereSql, [lockClasses.adopter])
    return readColumns(rows[0], 'the neighbours', { there: 'boolean' }).there
  },
})

const joinSql = { text: 'select pg_advisory_lock_shared($1, 0)' }

const leaveSql = { text: 'select pg_advisory_unlock_shared($1, 0)' }

const areThereSql = {
  text: `
    select exists (
      select from pg_locks
      where locktype = 'advisory' and classid::bigint = $1::bigint and objsubid = 2 and granted
        and pid <> pg_backend_pid() and database = (select oid from pg_database where datname = current_database())
    ) as there`,
}
