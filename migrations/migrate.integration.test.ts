import { migrations } from '@esteira/outbox/migrate'
import { emptyDatabase, runOn, startSilentServer, waitFor } from '@esteira/test/support'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { migrate } from './migrate.ts'

let database: Awaited<ReturnType<typeof emptyDatabase>>
beforeEach(async () => {
  database = await emptyDatabase()
})
afterEach(() => database.drop())

const query = (sql: string) => runOn(database.url, sql)

/** What the outbox notes for itself, and then what is noted of the files here. */
const applied = async () => [
  ...(await query('select name from outbox_migration order by name')),
  ...(await query('select name from schema_migration order by id')),
]

test('an empty database gets every migration, in order, each told once', async () => {
  const told: string[] = []
  await migrate(database.url, (file) => told.push(file))
  expect(told[0]).toBe('0001_outbox')
  expect(await applied()).toEqual(told.map((name) => ({ name })))
  expect(await query('select 1 from workflow')).toEqual([])
})

test('migrating again changes nothing', async () => {
  await migrate(database.url)
  const before = await query('select * from schema_migration')
  const told: string[] = []
  await migrate(database.url, (file) => told.push(file))
  expect(told).toEqual([])
  expect(await query('select * from schema_migration')).toEqual(before)
})

test('of several that start at once one migrates and the others find it done', async () => {
  const told: string[] = []
  await Promise.all([1, 2, 3, 4].map(() => migrate(database.url, (file) => told.push(file))))
  expect(await applied()).toEqual(told.map((name) => ({ name })))
  expect(new Set(told).size).toBe(told.length)
})

test('a database that is newer than the code is left as it is', async () => {
  await migrate(database.url)
  await query(`insert into schema_migration (name) values ('9999_of_the_next_release')`)
  await migrate(database.url)
  expect(await applied()).toContainEqual({ name: '9999_of_the_next_release' })
})

test('a migration that fails is named, and nothing of any is kept', async () => {
  await query('create table workflow_run (id int)')
  await expect(migrate(database.url)).rejects.toMatchObject({
    code: 'migration_failed',
    message: expect.stringMatching(/^0002_workflow: .*"workflow_run" already exists/),
  })
  expect(await query(`select to_regclass('outbox_message') as found`)).toEqual([{ found: null }])
  expect(await query('select name from schema_migration')).toEqual([])
})

test('a database that has the outbox already gets the rest', async () => {
  await runOn(database.url, 'begin', ...migrations.map(({ sql }) => sql), 'commit')
  const told: string[] = []
  await migrate(database.url, (file) => told.push(file))
  expect(told[0]).toBe('0002_workflow')
})

test('a database that is not there is not made', async () => {
  const url = new URL(database.url)
  url.pathname += '_misspelt'
  await expect(migrate(url.href)).rejects.toThrow('does not exist')
})

/** Ends the sessions of this database that wait for something; how many there were. */
const endWaiting = async (event: string) => {
  const ended = `select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and wait_event = '${event}'`
  return (await query(ended)).length
}

test('a session that is lost on the way fails the call, which waits for nothing more', async () => {
  const turn = `select pg_advisory_xact_lock(hashtextextended('esteira migrations', 0))`
  const holding = runOn(database.url, 'begin', turn, 'select pg_sleep(60)').catch(String)
  await waitFor(async () => (await query(`select 1 from pg_stat_activity where wait_event = 'PgSleep'`)).length > 0)
  const cut = migrate(database.url).catch(String)
  await waitFor(() => endWaiting('advisory'), { describe: 'the call to wait for its turn' })
  expect(await cut).toMatch(/terminat/)
  await endWaiting('PgSleep')
  expect(await holding).toMatch(/terminat/)
  await migrate(database.url)
  expect(await query('select 1 from workflow')).toEqual([])
})

test('a server that takes the connection and says nothing fails the call', async () => {
  const { port, stop } = await startSilentServer()
  onTestFinished(stop)
  await expect(migrate(`postgresql://nobody@127.0.0.1:${port}/nothing`)).rejects.toThrow(/timeout/)
})
