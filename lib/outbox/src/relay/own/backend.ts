import { readColumns } from '../../read-columns.ts'
import type { ControlSession } from './control-session.ts'

/**
 * The process of Postgres behind a session. Its number may be another one's later, so it has the time with it; null for a
 * role that may not see that even of its own session, as with `alter role ... set role`: then it counts as gone.
 */
export type Backend = { pid: number; startedAt: string | null }

export const identifyBackend = async (session: ControlSession): Promise<Backend> => {
  const { rows } = await session.query(identifyBackendSql, [])
  return readColumns(rows[0], 'the backend of a session', { pid: 'number', startedAt: 'string?' })
}

/** Those that are still there, with their locks: a session that is lost to its client may live on for seconds. */
export const stillThere = async (session: ControlSession, former: readonly Backend[]): Promise<Backend[]> => {
  const { rows } = await session.query(stillThereSql, [
    former.map(({ pid }) => pid),
    former.map(({ startedAt }) => startedAt),
  ])
  const places = new Set(rows.map((row) => readColumns(row, 'the look for backends', { place: 'number' }).place))
  return former.filter((_, index) => places.has(index + 1))
}

/** A number, since how a time is written is up to each session. */
export const startSql = `extract(epoch from backend_start)::text`

const identifyBackendSql = {
  text: `select pid, ${startSql} as "startedAt" from pg_stat_activity where pid = pg_backend_pid()`,
}

const stillThereSql = {
  text: `
    select place::int
    from unnest($1::int[], $2::text[]) with ordinality as former (pid, started_at, place)
    where (pid, started_at) in (select pid, ${startSql} from pg_stat_activity)`,
}
