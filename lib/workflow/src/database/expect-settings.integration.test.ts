import { cloneDatabase, runOn } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { functionOf } from '../../test/engine.ts'
import { silentLog, workerOptions } from '../../test/worker-options.ts'
import { startWorker } from '../worker/start-worker.ts'
import { expectSettings } from './expect-settings.ts'
import { openOrm } from './open-orm.ts'

/** A database that has these settings for its sessions. */
const databaseWith = async (settings: readonly string[]): Promise<string> => {
  const database = await cloneDatabase()
  onTestFinished(database.drop)
  const name = new URL(database.url).pathname.slice(1)
  for (const setting of settings) await runOn(database.url, `alter database ${name} set ${setting}`)
  return database.url
}

/** Looks at the settings of such a database over an address with this query. */
const look = async (settings: readonly string[], query = ''): Promise<void> => {
  const databaseUrl = `${await databaseWith(settings)}${query}`
  const orm = openOrm({ databaseUrl, poolSize: 1, applicationName: 'test' })
  onTestFinished(() => orm.close())
  await expectSettings(orm.em.fork())
}

const elsewhere = ['default_transaction_isolation = serializable', 'datestyle = german']

/** What a session is opened with is replaced by it, as a pooler drops that. */
const withoutOptions = `?options=${encodeURIComponent('-c work_mem=4MB')}`

test('what sessions are opened with is there, whatever the database has for others, or where that is the same', async () => {
  await look(elsewhere)
  await look([], withoutOptions)
})

test('a database that has something else, on sessions that lost what they were opened with, is refused', async () => {
  await expect(look(elsewhere, withoutOptions)).rejects.toMatchObject({
    code: 'database_settings',
    final: false,
    message: expect.stringMatching(/isolation is "serializable", .*; datestyle is "German, DMY", not "ISO": a pooler/),
  })
})

test('a worker does not begin on such a database, and says why', async () => {
  const url = await databaseWith(elsewhere)
  const seen = new AbortController()
  const said: unknown[] = []
  const warn = (line: object) => {
    said.push(line)
    seen.abort(new Error('it was said'))
  }
  const options = workerOptions({
    databaseUrl: `${url}${withoutOptions}`,
    lane: 'settings',
    functions: [functionOf('settings', () => undefined)],
    log: { ...silentLog, warn },
    signal: seen.signal,
  })
  await expect(startWorker(options)).rejects.toThrow('it was said')
  expect(said).toEqual([
    expect.objectContaining({ event: 'service.unavailable', reason: expect.stringContaining('"serializable"') }),
  ])
})
