import { randomUUID } from 'node:crypto'
import { runOn, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { callQuery, type QueryConfig } from '../test/call-query.ts'
import { emails, insert, leadTable } from '../test/insert-lead.ts'
import { admin, call, link, log, logged, query, target, useTarget } from '../test/use-target.ts'
import { openConnections } from './connections.ts'
import { databaseQuery } from './database-query.ts'

useTarget(leadTable, {})

test('an insert writes its row and gives what it returns', async () => {
  expect(await call(insert(1))).toEqual([{ id: 1 }])
  expect(await call({ sql: 'insert into lead values (2)' })).toBeNull()
  expect(await emails()).toEqual(['1@example.com', null])
})

test('a select gives its rows', async () => {
  await admin.query(`insert into lead values (1, 'a'), (2, 'b')`)
  expect(await call({ sql: 'select id, email from lead where id > $1', params: [1] })).toEqual([{ id: 2, email: 'b' }])
})

test('values keep their types on the way in: objects are JSON, null is null', async () => {
  const sql = `select $1::jsonb ->> 'a' as field, $2::text is null as nothing, $3::boolean as flag`
  expect(await call({ sql, params: [{ a: 'b' }, null, true] })).toEqual([{ field: 'b', nothing: true, flag: true }])
})

test.each(['select $1::int[] as list, $2::jsonb as json', 'insert into both_kinds values ($1, $2) returning *'])(
  'an array is a Postgres array or JSON, as its parameter is one: %s',
  async (sql) => {
    await admin.query('create table if not exists both_kinds (list int[], json jsonb)')
    expect(
      await call({
        sql,
        params: [
          [1, 2],
          [1, 'a'],
        ],
      }),
    ).toEqual([{ list: [1, 2], json: [1, 'a'] }])
    expect(await call({ sql, params: [[], []] })).toEqual([{ list: [], json: [] }])
  },
)

test.each([
  ['the path of names', `set search_path = pg_catalog`],
  ['what may be written', `set default_transaction_read_only = on`],
  ['a setting', `select set_config('search_path', 'pg_catalog', false)`],
  ['the role', `set role pg_monitor`],
  ['a lock', `select pg_advisory_lock(4242)`],
])('%s that a statement set for its session does not meet the next job', async (_, sql) => {
  const address = new URL(target.url)
  address.searchParams.set('esteira_pool', '1')
  const connections = openConnections(new Map([['crm', address.href]]), log)
  onTestFinished(connections.close)
  const alone = databaseQuery(connections)
  await callQuery(alone, log, { sql, mode: 'execute' })
  expect(await callQuery(alone, log, insert(1))).toEqual([{ id: 1 }])
  expect(connections.pool('crm').totalCount, 'both ran in one session').toBe(1)
  const locks = `select from pg_locks join pg_database on oid = database and datname = current_database()`
  expect((await admin.query(`${locks} where locktype = 'advisory'`)).rowCount).toBe(0)
})

test('times go on as Postgres writes them, whatever the zone of the worker, and come back the same', async () => {
  const sql = `select timestamp '2024-01-01 22:00' as plain, date '2024-01-01' as day, interval '1 month' as month`
  const row = { plain: '2024-01-01 22:00:00', day: '2024-01-01', month: '1 mon' }
  expect(await call({ sql })).toEqual([row])
  const back = `select $1::timestamp = '2024-01-01 22:00' and $2::date = '2024-01-01' and $3::interval = '1 month' as same`
  expect(await call({ sql: back, params: [row.plain, row.day, row.month] })).toEqual([{ same: true }])
})

test('a job that comes again does not run its statement, and passes the same rows on', async () => {
  const jobId = randomUUID()
  expect(await call(insert(1), { jobId })).toEqual([{ id: 1 }])
  await admin.query('truncate lead')
  expect(await call(insert(1), { jobId })).toEqual([{ id: 1 }])
  expect(await emails()).toEqual([])
})

test.each([
  ['has committed, and passes its rows on', 'commit', 1],
  ['has given up, and then runs the statement', 'rollback', 2],
])('a second delivery of a job, in another worker, waits until the first %s', async (_, end, id) => {
  const other = openConnections(new Map([['crm', target.url]]), log)
  onTestFinished(other.close)
  await call({ sql: 'select 1', mode: 'execute' })
  const jobId = randomUUID()
  // The first one, step by step.
  await admin.query('begin')
  onTestFinished(async () => {
    await admin.query('rollback')
  })
  await admin.query('insert into lead values (1)')
  await admin.query('insert into esteira_applied (job_id, rows) values ($1, $2)', [jobId, '[{"id": 1}]'])
  const second = callQuery(databaseQuery(other), log, insert(2), { jobId })
  await waitFor(
    async () =>
      (
        await runOn(
          target.url,
          `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
           and query like '%into%esteira_applied%'`,
        )
      ).length > 0,
    { describe: 'the second to wait in the server' },
  )
  await admin.query(end)
  expect(await second).toEqual([{ id }])
  expect((await admin.query('select id from lead')).rows).toEqual([{ id }])
})

test('two workers that have one job at once write one row', async () => {
  const [jobId, others] = [randomUUID(), [1, 2].map(() => openConnections(new Map([['crm', target.url]]), log))]
  onTestFinished(async () => {
    await Promise.all(others.map(({ close }) => close()))
  })
  const slow = { ...insert(1), sql: 'insert into lead select $1, $2 from pg_sleep(0.2) returning id' }
  const both = others.map((connections) => callQuery(databaseQuery(connections), log, slow, { jobId }))
  expect(await Promise.all(both)).toEqual([[{ id: 1 }], [{ id: 1 }]])
  expect(await emails()).toHaveLength(1)
})

test('a statement whose session is killed has written nothing, costs an attempt, and is written by the next', async () => {
  const jobId = randomUUID()
  const slow = { ...insert(1), sql: 'insert into lead select $1, $2 from pg_sleep(5) returning id' }
  const killed = call(slow, { jobId }).catch((error: unknown) => error)
  await waitFor(
    async () =>
      (
        await admin.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(5)%' and pid <> pg_backend_pid() and state = 'active'`,
        )
      ).rowCount,
    { describe: 'the statement to run' },
  )
  expect(await killed).toMatchObject({ code: 'session_lost', final: false })
  expect(await emails()).toEqual([])
  expect(await call(insert(1), { jobId })).toEqual([{ id: 1 }])
})

test('a statement that ends its own session costs an attempt each time, so it fails at last', async () => {
  await expect(call({ sql: 'select pg_terminate_backend(pg_backend_pid())' })).rejects.toMatchObject({
    code: 'session_lost',
    final: false,
    message: expect.stringContaining('the session was lost under config.sql'),
  })
})

test('a database that is away burns no attempt: the job waits for it', async () => {
  link.cut()
  const outcome = await call(insert(1, 'x', { connection: 'far' }))
  link.resume()
  expect(outcome).toMatchObject({ delayMs: 5_000, reason: expect.stringContaining('the database is away') })
})

test.each(['on', 'off'])(
  'durable waits for the disk, applied does not, on a server that is set to it: %s',
  async (set) => {
    await admin.query(`alter database ${new URL(target.url).pathname.slice(1)} set synchronous_commit = ${set}`)
    const setting = `insert into lead values ($1, current_setting('synchronous_commit')) returning email`
    const fresh = openConnections(new Map([['crm', target.url]]), log)
    const ask = (config: QueryConfig) => callQuery(databaseQuery(fresh), log, config)
    expect(await ask({ sql: setting, params: [1], confirm: 'durable' })).toEqual([{ email: 'on' }])
    expect(await ask({ sql: setting, params: [2], confirm: 'applied' })).toEqual([{ email: 'off' }])
    await fresh.close()
  },
)

test('with confirm none the job is over at once, the row comes, and stopping waits for it', async () => {
  const begun = performance.now()
  const slow = { ...insert(1), sql: 'insert into lead select $1, $2 from pg_sleep(0.5)', confirm: 'none' }
  expect(await call(slow)).toBeUndefined()
  expect(performance.now() - begun).toBeLessThan(400)
  expect(await emails()).toEqual([])
  await query.idle()
  expect(await emails()).toEqual(['1@example.com'])
})

test('with confirm none a statement that fails is logged, and nothing else happens', async () => {
  await call({ sql: 'insert into nowhere values (1)', confirm: 'none' })
  await query.idle()
  expect(logged).toEqual([
    expect.objectContaining({ event: 'statement.failed', reason: expect.stringContaining('"nowhere" does not exist') }),
  ])
})
