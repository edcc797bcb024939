import { runOn, waitFor } from '@esteira/test/support'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { callQuery } from '../test/call-query.ts'
import { hold } from '../test/hold.ts'
import { emails, leadTable } from '../test/insert-lead.ts'
import { admin, call, connections, link, log, target, useTarget } from '../test/use-target.ts'
import { openConnections } from './connections.ts'
import { databaseQuery } from './database-query.ts'

const withOptions = (options: string) => (address: URL) => {
  address.search = options
}

useTarget(
  `${leadTable};
   create function sneak() returns int language sql as 'insert into lead values (9) returning id';
   create table seen (n int);
   create role alone login password 'alone' connection limit 1`,
  {
    alone: (address) => {
      address.username = 'alone'
      address.password = 'alone'
      address.search = 'esteira_pool=1'
    },
    archive: withOptions('esteira_read_only=true'),
    narrow: withOptions('esteira_pool=2&application_name=narrow'),
    single: withOptions('esteira_pool=1&application_name=single'),
  },
)

afterAll(() => admin.query('drop role alone'))

test.each([
  ['an insert', 'insert into lead values (1)'],
  ['one within a select', 'with fresh as (insert into lead values (1) returning id) select id from fresh'],
  ['a function', 'select sneak()'],
  ['a block', 'do $$ begin insert into lead values (1); end $$'],
  ['a table', 'create table other (id int)'],
])('on a read-only connection the server refuses %s', async (_, sql) => {
  await expect(call({ sql, connection: 'archive' })).rejects.toMatchObject({
    code: 'statement_refused',
    final: true,
    message: expect.stringMatching(/in a read-only transaction: config\.connection is read-only$/),
  })
  expect(await emails()).toEqual([])
})

test.each(['set transaction read write', `select set_config('transaction_read_only', 'off', false), sneak()`])(
  'a read-only connection cannot be talked into writing: %s',
  async (sql) => {
    await expect(call({ sql, connection: 'archive' })).rejects.toMatchObject({ code: 'statement_refused', final: true })
    expect(await call({ sql: 'select count(*)::int from lead', connection: 'archive' })).toEqual([{ count: 0 }])
  },
)

test('a read-only connection takes no mode execute, and needs no ledger', async () => {
  const rename = (from: string, to: string) => admin.query(`alter table if exists ${from} rename to ${to}`)
  await rename('esteira_applied', 'elsewhere')
  await expect(call({ sql: 'select 1', mode: 'execute', connection: 'archive' })).rejects.toMatchObject({
    code: 'config_invalid',
    final: true,
  })
  expect(await call({ sql: 'with one as (select 1 as n) select n from one', connection: 'archive' })).toEqual([
    { n: 1 },
  ])
  expect(await admin.query(`select to_regclass('esteira_applied') as there`)).toMatchObject({ rows: [{ there: null }] })
  await rename('elsewhere', 'esteira_applied')
})

const sessionsOf = async (name: string) =>
  (
    await runOn(
      target.url,
      `select pid from pg_stat_activity where datname = current_database() and application_name = '${name}'`,
    )
  ).length

test.each([
  ['narrow', 2],
  ['single', 1],
])('a connection %s has no more sessions than it may', async (connection, most) => {
  expect(connections.atOnce(connection)).toBe(1)
  const slow = `insert into seen select 1 from pg_sleep(0.05)`
  const jobs = Array.from({ length: 8 }, (_, n) =>
    n % 2 === 0
      ? call({ sql: slow, connection })
      : call({ sql: 'select 1 as n from pg_sleep(0.05)', connection }, { outputType: 'multiple', hasNext: true }),
  )
  const counts: number[] = []
  let isOver = false
  const all = Promise.all(jobs).then(() => (isOver = true))
  await waitFor(async () => {
    counts.push(await sessionsOf(connection))
    return isOver
  })
  await all
  expect(Math.max(...counts)).toBe(most)
})

const sleepers = () =>
  runOn(
    target.url,
    `select pid from pg_stat_activity where datname = current_database() and state = 'active'
     and query like '%pg_sleep(%' and pid <> pg_backend_pid()`,
  )

/** It shares transactions with others of its kind. */
const locked = 'insert into lead values (1)'

const lockWaits = async () =>
  (await runOn(target.url, `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%${locked}%'`))
    .length

/** Calls a statement that does not end, and cancels its job, when it is under way and `before` is done. */
const cancelSleep = async (connection: string, before: () => void): Promise<unknown> => {
  const over = new AbortController()
  const sleeping = call({ sql: 'select pg_sleep(60)', connection }, { signal: over.signal })
  const cancelled = sleeping.catch((error: unknown) => error)
  await waitFor(async () => (await sleepers()).length === 1)
  before()
  over.abort(new Error('out of time'))
  return cancelled
}

test.each([
  ['a session that reads', { sql: 'select 1 as one' }],
  ['one that writes', { sql: 'insert into seen values (1)' }],
  ['the transaction of its statement before it', { sql: locked }],
])('a cancel is heard at once by a statement that waits for %s', async (_, config) => {
  await call({ sql: 'insert into seen values (0)', connection: 'single' })
  const letGo = await hold(target.url, 'lock table lead')
  const first = call({ sql: locked, connection: 'single' })
  await waitFor(async () => (await lockWaits()) === 1)
  const over = new AbortController()
  let ended: unknown = null
  const second = call({ ...config, connection: 'single' }, { signal: over.signal }).catch((error: unknown) => {
    ended = error
  })
  // By then it waits for its transaction where it is not for a session that it waits.
  await waitFor(() => connections.pool('single').waitingCount === 1 || config.sql === locked)
  over.abort(new Error('out of time'))
  await waitFor(() => ended !== null, { deadlineMs: 5_000 })
  expect(ended).toMatchObject({ message: 'out of time' })
  expect(await lockWaits(), 'the first is at work').toBe(1)
  await letGo()
  await Promise.all([first, second])
  expect(await call({ sql: 'select id from lead', connection: 'single' }), 'the session is free').toEqual([{ id: 1 }])
})

test('a cancel reaches the server also where it takes no further session', async () => {
  expect(await cancelSleep('alone', () => undefined)).toMatchObject({ message: 'out of time' })
  expect(await sleepers()).toEqual([])
})

test('a session whose server says nothing any more is given up with its job', async () => {
  onTestFinished(link.resume)
  expect(await cancelSleep('far', link.pause)).toMatchObject({ message: 'out of time' })
  expect(connections.pool('far').totalCount).toBe(0)
  await waitFor(async () => (await sleepers()).length === 0, { describe: 'the cancel, which came through' })
})

test('so is one whose server says nothing any more before its transaction begins', async () => {
  await call({ sql: 'select 1', connection: 'far' })
  const pool = connections.pool('far')
  await waitFor(() => pool.idleCount === 1)
  link.pause()
  onTestFinished(link.resume)
  const over = new AbortController()
  const begun = call({ sql: 'select 1', connection: 'far' }, { signal: over.signal })
  const cancelled = begun.catch((error: unknown) => error)
  await waitFor(() => pool.idleCount === 0)
  over.abort(new Error('out of time'))
  expect(await cancelled).toMatchObject({ message: 'out of time' })
  expect(pool.totalCount).toBe(0)
})

test('a link that was lost without a word is given up by the next statement, and the job waits', async () => {
  const others = openConnections(new Map([['crm', link.url]]), log, { waitMs: 500 })
  onTestFinished(others.close)
  const lost = () => callQuery(databaseQuery(others), log, { sql: 'select 1 as one' })
  await lost()
  link.pause()
  onTestFinished(link.resume)
  expect(await lost()).toMatchObject({ delayMs: 5_000, reason: expect.stringContaining('the database is away') })
  link.resume()
  expect(await lost()).toEqual([{ one: 1 }])
})
