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

/** Whether all are gone, and their locks with them: a session that is lost to its client may live on for seconds. */
export const haveEnded = async (session: ControlSession, backends: readonly Backend[]): Promise<boolean> => {
  const { rows } = await session.query(haveEndedSql, [
    backends.map(({ pid }) => pid),
    backends.map(({ startedAt }) => startedAt),
  ])
  return readColumns(rows[0], 'the look for backends', { ended: 'boolean' }).ended
}

// A number, since how a time is written is up to each session.
const startSql = `extract(epoch from backend_start)::text`

const identifyBackendSql = {
  text: `select pid, ${startSql} as "startedAt" from pg_stat_activity where pid = pg_backend_pid()`,
}

const haveEndedSql = {
  text: `
    select not exists (
      select from pg_stat_activity where (pid, ${startSql}) in (select * from unnest($1::int[], $2::text[]))
    ) as ended`,
}
