import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgresAlone } from '@esteira/dev/stack'
import * as z from 'zod'
import { runOn } from './run-on.ts'
import { waitFor } from './wait-for.ts'

export type OwnPostgres = {
  url: string
  /** Stops it as `pg_ctl stop -m immediate` does, in the middle of everything; resolves when it has been started again. */
  crash: () => Promise<void>
  /** Starts it again at the same address as a standby, which takes no writes until `pg_promote()` is called. */
  restartAsStandby: () => Promise<void>
  /** Stops it for good. */
  drop: () => Promise<void>
}

/** Starts a Postgres of the test's own. */
export const startOwnPostgres = async (): Promise<OwnPostgres> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'esteira-postgres-'))
  const start = () => startPostgresAlone({ dataDir, env: process.env })
  let stack = await start()
  const { url } = stack.postgres
  const startedAt = async (): Promise<string> =>
    startedRows.parse(await runOn(url, `select pg_postmaster_start_time()::text as at`))[0].at
  return {
    url,
    crash: async () => {
      const before = await startedAt()
      // Said by the server itself, wherever it runs; the session that says it ends with it, and so cannot be answered.
      await Promise.allSettled([runOn(url, `copy (select) to program 'kill -QUIT $(head -n 1 postmaster.pid)'`)])
      await waitFor(async () => (await startedAt()) !== before, { deadlineMs: 60_000, describe: 'Postgres to be back' })
    },
    restartAsStandby: async () => {
      // Written by the server: the folder may be another user's, or a container's.
      await runOn(
        url,
        `do $$ begin execute format('copy (select) to %L', current_setting('data_directory') || '/standby.signal'); end $$`,
      )
      await stack.stop()
      stack = await start()
    },
    drop: async () => {
      await stack.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

const startedRows = z.tuple([z.object({ at: z.string() })])
