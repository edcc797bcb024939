import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expectConserved, openEngine } from '@esteira/test/engine'
import { runOn, startProxy, waitFor } from '@esteira/test/support'
import type { Pool } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { callQuery } from '../test/call-query.ts'
import { admin, call, connections as shared, link, log, logged, query, target, useTarget } from '../test/use-target.ts'
import { openConnections } from './connections.ts'
import { databaseQuery, type DatabaseQuery } from './database-query.ts'

useTarget('create table lead (id int); create view untouchable as select id from lead group by id', {
  hurried: (address) => address.searchParams.set('options', '-c statement_timeout=100'),
  cramped: (address) => address.searchParams.set('options', '-c temp_file_limit=64kB -c work_mem=64kB'),
  watched: (address) =>
    address.searchParams.set(
      'options',
      '-c client_connection_check_interval=5s -c tcp_keepalives_idle=7 -c tcp_keepalives_interval=3 ' +
        '-c tcp_keepalives_count=4 -c idle_in_transaction_session_timeout=90s -c transaction_timeout=30min',
    ),
})

const ids = async () => (await admin.query<{ id: number }>('select id from lead order by id')).rows.map(({ id }) => id)

/** Sessions that are at a statement with these words. Asked in a session of its own, which sees what is new. */
const sessionsAt = (words: string) =>
  runOn(
    target.url,
    `select pid from pg_stat_activity
     where datname = current_database() and state = 'active' and query like '%${words}%' and pid <> pg_backend_pid()`,
  )

/** Breaks the link as soon as a statement is under way; its session, which does not notice, is ended too. */
const cutUnder = async (words: string) => {
  await waitFor(async () => (await sessionsAt(words)).length > 0)
  link.cut()
  await runOn(
    target.url,
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and query like '%${words}%' and pid <> pg_backend_pid()`,
  )
}

/** Resolves when no session of a pool is in use: behind its end a statement's session is still being cleaned. */
const cleaned = (pool: Pool) => waitFor(() => pool.idleCount === pool.totalCount)

test('a link that falls under a statement costs an attempt, and the next statement opens another', async () => {
  const sql = 'insert into lead select 1 from pg_sleep(60)'
  const cut = call({ connection: 'far', sql }).catch((error: unknown) => error)
  await cutUnder('pg_sleep(60)')
  expect(await cut).toMatchObject({ code: 'session_lost', final: false })
  link.resume()
  expect(await call({ connection: 'far', sql: 'select 1 as one' })).toEqual([{ one: 1 }])
})

test('what a lost worker was at ends in the server, so that its job, which comes again, does not wait for that', async () => {
  const [jobId, sql] = [randomUUID(), 'insert into lead select $1::int from pg_sleep($2::int)']
  const lost = call({ connection: 'far', sql, params: [1, 58] }, { jobId }).catch((error: unknown) => error)
  await waitFor(async () => (await sessionsAt('pg_sleep($2::int)')).length > 0)
  link.cut()
  onTestFinished(link.resume)
  expect(await lost).toMatchObject({ code: 'session_lost' })
  expect(await call({ sql, params: [2, 0] }, { jobId })).toBeNull()
  expect(await ids()).toEqual([2])
})

test('so does what a worker was at whose node is gone without a word, unless the server has its own times for that', async () => {
  const sql = `select current_setting('client_connection_check_interval') as look,
    current_setting('tcp_keepalives_idle') as idle, current_setting('tcp_keepalives_interval') as every,
    current_setting('tcp_keepalives_count') as times, current_setting('idle_in_transaction_session_timeout') as silent,
    current_setting('transaction_timeout') as most`
  const usual = { look: '2s', idle: '10', every: '2', times: '5', silent: '45s', most: '630s' }
  const watched = { look: '5s', idle: '7', every: '3', times: '4', silent: '90s', most: '30min' }
  expect(await call({ sql })).toEqual([usual])
  expect(await call({ sql, connection: 'watched' })).toEqual([watched])
  const rowByRow = { outputType: 'multiple', hasNext: true } as const
  expect(await call({ sql }, rowByRow), 'who takes the rows may be slow').toEqual([
    { ...usual, silent: '0', most: '1530s' },
  ])
})

test('a worker that is frozen in its transaction keeps no lock in the server, and its job is written once', async () => {
  // The statement waits, so that the worker is frozen under it, and its transaction stands open behind it.
  const [jobId, sql] = [randomUUID(), 'insert into lead select 1 where pg_advisory_xact_lock(58) is not null']
  await admin.query(`set lock_timeout = '30s'; select pg_advisory_lock(58)`)
  const program = fileURLToPath(new URL('../test/to-freeze.ts', import.meta.url))
  const worker = spawn(process.execPath, [program, target.url, '1000', jobId, sql], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(async () => {
    worker.kill('SIGKILL')
    await admin.query('select pg_advisory_unlock_all(); reset lock_timeout')
  })
  const said = text(worker.stdout)
  await waitFor(async () => (await sessionsAt('pg_advisory_xact_lock(58)')).length > 0, { deadlineMs: 60_000 })
  worker.kill('SIGSTOP')
  await admin.query('select pg_advisory_unlock(58)')
  await waitFor(async () => (await sessionsAt('pg_advisory_xact_lock(58)')).length === 0)
  // The worker has it by now, and nobody ends that but the server.
  await admin.query('select pg_advisory_lock(58), pg_advisory_unlock(58)')
  expect(await ids()).toEqual([])
  worker.kill('SIGCONT')
  expect(JSON.parse(await said)).toMatchObject({ delayMs: 5_000, reason: expect.stringContaining('the ledger tells') })
  expect(await call({ sql }, { jobId })).toBeNull()
  expect(await ids()).toEqual([1])
}, 90_000)

test('a link that falls while nobody uses it is logged, and the next statement opens another', async () => {
  const pool = shared.pool('far')
  await cleaned(pool)
  await call({ connection: 'far', sql: 'select 1' })
  await cleaned(pool)
  link.cut()
  link.resume()
  await waitFor(() => logged.length > 0)
  expect(logged).toMatchObject([{ event: 'connection.lost', connection: 'far' }])
  expect(await call({ connection: 'far', sql: 'select 1 as one' })).toEqual([{ one: 1 }])
})

test('with confirm none a statement whose link falls is logged with its job', async () => {
  await call({ connection: 'far', sql: 'insert into lead select 1 from pg_sleep(59)', confirm: 'none' })
  await cutUnder('pg_sleep(59)')
  await query.idle()
  link.resume()
  expect(logged).toMatchObject([{ event: 'statement.failed', jobId: expect.any(String) }])
})

test('a statement whose database says nothing any more is ended with its connections, and logged with its job', async () => {
  const connections = openConnections(new Map([['crm', link.url]]), log)
  const failed: string[] = []
  const silent = databaseQuery(connections, { onFailed: (connection) => failed.push(connection) })
  const insert = { sql: 'insert into lead values (1)', confirm: 'none' }
  await callQuery(silent, log, insert)
  await silent.idle()
  await cleaned(connections.pool('crm'))
  link.pause()
  onTestFinished(link.resume)
  await callQuery(silent, log, insert, { jobId: '00000000-0000-4000-8000-000000000001' })
  await waitFor(() => connections.pool('crm').idleCount === 0)
  connections.sever()
  await silent.idle()
  await connections.close()
  expect(logged).toMatchObject([{ event: 'statement.failed', jobId: '00000000-0000-4000-8000-000000000001' }])
  expect(failed).toEqual(['crm'])
})

/** Has a database that does what comes until its next commit, and answers none of it from then on. */
const silentUnderCommit = async () => {
  const connections = openConnections(new Map([['crm', link.url]]), log, { waitMs: 500 })
  onTestFinished(async () => {
    link.resume()
    await connections.close()
  })
  await connections.ledger('crm')
  // As a message of the protocol: the words of the beginning have it in the name of a setting.
  link.pauseBehind('commit\0')
  return databaseQuery(connections)
}

test.each([
  ['the ledger tells when the job comes again', 'durable', true, [1]],
  ['the ledger tells when the job comes again', 'applied', true, [1]],
  ['without the ledger it may run twice', 'durable', false, [1, 1]],
])(
  'of a commit that is not answered the outcome is unknown, and the job waits: %s (%s)',
  async (next, confirm, once, written) => {
    const silent = await silentUnderCommit()
    const insert = { sql: 'insert into lead values (1) returning id', confirm, once }
    const jobId = randomUUID()
    expect(await callQuery(silent, log, insert, { jobId })).toMatchObject({
      delayMs: 5_000,
      reason: `the session was lost under the commit (no answer within 0.5 s): whether that is done is not known; ${next}`,
    })
    link.resume()
    expect(await callQuery(silent, log, insert, { jobId })).toEqual([{ id: 1 }])
    expect(await ids()).toEqual(written)
  },
)

test('with confirm none such an outcome is logged with its job', async () => {
  const silent = await silentUnderCommit()
  await callQuery(silent, log, { sql: 'insert into lead values (1)', confirm: 'none' })
  await silent.idle()
  expect(logged).toMatchObject([
    { event: 'statement.failed', reason: expect.stringContaining('whether that is done is not known') },
  ])
})

test('of statements that no job waits for only so many are under way, then the next job waits', async () => {
  await admin.query('begin; lock table lead in access exclusive mode')
  onTestFinished(async () => {
    await admin.query('rollback')
  })
  const insert = { sql: 'insert into lead values ($1)', confirm: 'none' }
  for (let id = 0; id < 200; id += 1) await call({ ...insert, params: [id] })
  let over = false
  const next = call({ ...insert, params: [200] }).then(() => (over = true))
  await waitFor(async () => (await sessionsAt('insert into lead values')).length > 0)
  expect(over).toBe(false)
  await admin.query('rollback')
  await next
  await query.idle()
  expect(await ids()).toHaveLength(201)
})

test('a job that is cancelled while it waits for such a place never runs its statement', async () => {
  await admin.query('begin; lock table lead in access exclusive mode')
  onTestFinished(async () => {
    await admin.query('rollback')
  })
  const insert = { sql: 'insert into lead values ($1)', confirm: 'none' }
  for (let id = 0; id < 200; id += 1) await call({ ...insert, params: [id] })
  const cancel = new AbortController()
  const cancelled = call({ ...insert, params: [200] }, { signal: cancel.signal })
  const reason = new Error('cancelled')
  cancel.abort(reason)
  await expect(cancelled).rejects.toBe(reason)
  const elsewhere = { ...insert, connection: 'far', params: [201] }
  expect(await call(elsewhere), 'another connection has places of its own').toBeUndefined()
  await admin.query('rollback')
  await query.idle()
  expect(await ids()).toEqual([...Array.from({ length: 200 }, (_, id) => id), 201])
})

test('a statement that no job waits for has the time of its step, and is cancelled in the server behind it', async () => {
  await admin.query('begin; lock table lead in access exclusive mode')
  onTestFinished(async () => {
    await admin.query('rollback')
  })
  await call({ sql: 'insert into lead values (1)', confirm: 'none' }, { timeoutMs: 100 })
  await query.idle()
  expect(logged).toMatchObject([
    { event: 'statement.failed', reason: expect.stringContaining('config.sql did not end within 100 ms') },
  ])
  expect(await sessionsAt('insert into lead values (1)')).toEqual([])
})

test('a statement that takes too long is tried again by the policy: the database is not away', async () => {
  await expect(call({ connection: 'hurried', sql: 'select pg_sleep(60)' })).rejects.toMatchObject({
    code: 'refused_for_now',
    final: false,
    message: 'config.sql: canceling statement due to statement timeout (SQLSTATE 57014)',
  })
})

test('so is one that needs more room on the disk of the server than it may have', async () => {
  const sql = 'select n, repeat($1, 50) as text from generate_series(1, 100000) n order by 2, 1 desc'
  await expect(call({ connection: 'cramped', sql, params: ['x'] })).rejects.toMatchObject({
    code: 'refused_for_now',
    message: 'config.sql: temporary file size exceeds "temp_file_limit" (64kB) (SQLSTATE 53400)',
  })
})

test('a statement that reaches beyond its database to one that is away loses no session', async () => {
  const sql = `do $$ begin raise exception 'no route' using errcode = '08001'; end $$`
  expect(await call({ sql })).toMatchObject({ delayMs: 5_000, reason: 'the database is away: no route' })
})

test('an object that cannot take the statement is no database that is away', async () => {
  await expect(call({ sql: 'insert into untouchable values (1)' })).rejects.toThrow(
    expect.objectContaining({
      code: 'refused_for_now',
      message: expect.stringContaining('config.sql: cannot insert into view "untouchable"'),
    }),
  )
})

/** Opens sessions of databases that take no writes from now on, until it is told otherwise. */
const takeNoWrites = async () => {
  const database = new URL(target.url).pathname.slice(1)
  await admin.query(`alter database ${database} set default_transaction_read_only = on`)
  const takeWrites = async () => {
    await admin.query(`alter database ${database} reset default_transaction_read_only`)
  }
  onTestFinished(takeWrites)
  const connections = openConnections(new Map([['crm', target.url]]), log)
  onTestFinished(connections.close)
  return { query: databaseQuery(connections), takeWrites }
}

test.each([
  ['with a ledger', true, 'select 1'],
  ['that has none yet', true, 'drop table if exists esteira_applied'],
  ['without one', false, 'select 1'],
])(
  'a database %s that takes no writes, as a standby, burns no attempt: the job waits for it',
  async (_, once, before) => {
    await call({ sql: 'insert into lead values (0)' })
    await admin.query(`${before}; truncate lead`)
    const standby = await takeNoWrites()
    const insert = { sql: 'insert into lead values (1)', once }
    const jobId = randomUUID()
    expect(await callQuery(standby.query, log, insert, { jobId })).toMatchObject({
      delayMs: 5_000,
      reason: expect.stringContaining('the database takes no writes: it is read-only just now'),
    })
    await standby.takeWrites()
    expect(await callQuery(standby.query, log, insert, { jobId })).toBeNull()
    expect(await ids()).toEqual([1])
  },
)

test('a job that is taken over after the commit in the target is not inserted again, and passes on what it gave', async () => {
  const engine = await openEngine()
  const brokerLink = await startProxy(engine.rabbitmqUrl)
  onTestFinished(async () => {
    await engine.close()
    await brokerLink.stop()
  })
  const committed = Promise.withResolvers<void>()
  const never = new Promise<never>(() => {})
  const lost: DatabaseQuery['fn'] = {
    ...query.fn,
    call: async (context) => {
      await query.fn.call(context)
      committed.resolve()
      return never
    },
  }
  await engine.startWorker([lost], { rabbitmqUrl: brokerLink.url, graceMs: 0 })
  const workflow = await engine.saveWorkflow(
    {
      functionName: 'Database.query',
      outputType: 'multiple',
      config: {
        connection: 'crm',
        sql: 'insert into lead values ($1), ($2) returning id',
        params: ['{{ payload.one }}', '{{ payload.other }}'],
      },
    },
    {
      functionName: 'Database.query',
      outputType: null,
      config: { connection: 'crm', sql: 'update lead set id = -id where id = $1', params: ['{{ payload.id }}'] },
    },
  )
  const run = await engine.begin(workflow, { one: 7, other: 8 })
  await committed.promise
  await engine.startWorker([query.fn])
  brokerLink.cut()
  expect(await engine.over(run)).toBe('succeeded')
  expect((await engine.jobs(run)).map(({ payload }) => payload)).toEqual([{ one: 7, other: 8 }, { id: 7 }, { id: 8 }])
  expect(await ids()).toEqual([-8, -7])
  await expectConserved(engine)
})
