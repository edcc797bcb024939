import type { ControlSession } from './control-session.ts'

/** The first key of every lane's advisory lock ('outb' in ASCII), so that other users of the database keep clear of it. */
export const lockClass = 0x6f_75_74_62

/**
 * Takes the lane for this session, if nobody else has it. Postgres frees it when the session ends, however it ends.
 *
 * Locks: one advisory lock, without waiting, so it cannot deadlock.
 */
export const tryLaneLock = async (session: ControlSession, lane: number): Promise<boolean> => {
  const { rows } = await session.query(tryLaneLockSql, [lockClass, lane])
  const row = rows[0]
  return typeof row === 'object' && row !== null && 'owned' in row && row.owned === true
}

/** Frees the lane for a neighbour. */
export const freeLane = async (session: ControlSession, lane: number): Promise<void> => {
  await session.query(freeLaneSql, [lockClass, lane])
}

const tryLaneLockSql = { name: 'try_lane_lock', text: 'select pg_try_advisory_lock($1, $2) as owned' }

const freeLaneSql = { name: 'free_lane', text: 'select pg_advisory_unlock($1, $2)' }

/** A subselect of the numbers of the lanes that some session owns; `$1` is `lockClass`. */
export const ownedLanesSql = `
  select objid::bigint::int from pg_locks
  where locktype = 'advisory' and classid::bigint = $1::bigint and objsubid = 2 and granted
    and database = (select oid from pg_database where datname = current_database())`
