import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgresAlone } from '@esteira/dev/stack'
import { runOn } from './run-on.ts'

type OwnPostgres = {
  url: string
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
  return {
    url,
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
