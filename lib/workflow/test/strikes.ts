import { startProxy, waitFor } from '@esteira/test/support'
import * as z from 'zod'

type Query = (text: string, values?: unknown[]) => Promise<unknown[]>

/** The statement whose answer gets lost: the end of a unit of work, or of what takes jobs over. */
const words = 'commit'

/**
 * Breaks sessions of the workers that have this name in the middle of what a group of theirs does, as a restart or a failover
 * would: before its commit, or behind it, so that nobody hears that it is done. They reach Postgres by `url`.
 */
export const openStrikes = async (query: Query, databaseUrl: string, worker: string) => {
  const link = await startProxy(databaseUrl)
  await query(strikeSql)
  await query(`create table struck as select $1::text as worker`, [worker])

  const isAnswered = async (since: string): Promise<boolean> =>
    (await query(answeredSql, [worker, words, since])).length > 0

  const drawFrom = async (row: number): Promise<void> => {
    await query(`select setval('rows_written', $1, false)`, [row])
  }

  return {
    url: link.url,

    /** The server ends the session that writes the row so many from now, of a job or of what is written with it. */
    strike: (rows: number): Promise<void> => drawFrom(lastRow - rows),

    /** Does something, and has its first commit be done without an answer; resolves to what came of it. */
    unheard: async <T>(act: () => Promise<T>): Promise<T> => {
      // Of a session that was ended no answer would come.
      await drawFrom(lastRow + 1)
      const [{ now }] = nowRows.parse(await query('select clock_timestamp()::text as now'))
      link.pauseBehind(words)
      let isOver = false
      const acting = act().finally(() => {
        isOver = true
      })
      try {
        // It may come to none.
        await waitFor(async () => isOver || (await isAnswered(now)), { deadlineMs: 30_000 })
        if (!isOver) link.cut()
      } finally {
        link.resume()
      }
      return acting
    },

    close: () => link.stop(),
  }
}

/** The row with this number ends the session that writes it. Numbers are drawn for good, so it comes once. */
const lastRow = 1_000_000

const strikeSql = `
  create sequence rows_written start ${lastRow + 1};
  create function strike() returns trigger language plpgsql as $$
    begin
      if exists (select from struck where worker = current_setting('application_name'))
        and nextval('rows_written') = ${lastRow} then
        perform pg_terminate_backend(pg_backend_pid());
      end if;
      return new;
    end $$;
  create trigger strike before insert or update on workflow_job for each row execute function strike();
  create trigger strike before insert or update on workflow_run_step for each row execute function strike();
  create trigger strike before insert or update on workflow_hidden_page for each row execute function strike();
  create trigger strike before insert or update on workflow_attempt for each row execute function strike();
  create trigger strike before insert or update on outbox_message for each row execute function strike()`

const answeredSql = `
  select from pg_stat_activity
  where datname = current_database() and application_name = $1 and state like 'idle%'
    and position($2 in lower(query)) > 0 and state_change > $3::timestamptz`

const nowRows = z.tuple([z.object({ now: z.string() })])
