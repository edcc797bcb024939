import { reasonOf } from '../../errors.ts'
import { readColumns } from '../../read-columns.ts'
import type { ControlSession } from './control-session.ts'

/**
 * The classes of our advisory locks, the first of their two keys ('outb', 'outs' and 'outa' in ASCII), so that other users
 * of the database keep clear of them. The triggers that ring ask for the second; the third is of no lane.
 */
export const lockClasses = { owner: 0x6f_75_74_62, sleeper: 0x6f_75_74_73, adopter: 0x6f_75_74_61 }

export type LaneLock = 'owner' | 'sleeper'

/**
 * Takes a lock of the lane for this session, if no other session has it or shares it. Postgres frees it when the session
 * ends, however it ends. What fails may have had it, as a statement that somebody cancels has: a session that asks once more
 * would have it twice, and give it back once. Where it cannot be given back either the session is given up, or nobody could
 * have the lane.
 *
 * Locks: one advisory lock, without waiting, so it cannot deadlock.
 */
export const tryLaneLock = async (session: ControlSession, lock: LaneLock, lane: number): Promise<boolean> => {
  const { rows } = await session.query(tryLaneLockSql, [lockClasses[lock], lane]).catch(async (error: unknown) => {
    if (!session.lost.aborted) await freeOrGiveUp(session, lock, lane)
    throw error
  })
  return readColumns(rows[0], 'the lock of a lane', { taken: 'boolean' }).taken
}

/** Gives back what `tryLaneLock` took. */
export const freeLaneLock = async (session: ControlSession, lock: LaneLock, lane: number): Promise<void> => {
  await session.query(freeLaneLockSql, [lockClasses[lock], lane])
}

const freeOrGiveUp = async (session: ControlSession, lock: LaneLock, lane: number): Promise<void> => {
  try {
    await freeLaneLock(session, lock, lane)
  } catch (error) {
    session.giveUp(`a lock of lane ${lane} that it may have could not be given back: ${reasonOf(error)}`)
  }
}

const tryLaneLockSql = { name: 'try_lane_lock', text: 'select pg_try_advisory_lock($1, $2) as taken' }

const freeLaneLockSql = { name: 'free_lane_lock', text: 'select pg_advisory_unlock($1, $2)' }

/** A subselect of the sessions that have locks of a class, with the second keys of these. */
export const locksSql = (lockClass: string): string => `
  select pid, objid::bigint::int as number from pg_locks
  where locktype = 'advisory' and classid::bigint = ${lockClass}::bigint and objsubid = 2 and granted
    and database = (select oid from pg_database where datname = current_database())`

/** A subselect of the numbers of the lanes that some session owns; `$1` is `lockClasses.owner`. */
export const ownedLanesSql = `select number from (${locksSql('$1')}) as locks`
