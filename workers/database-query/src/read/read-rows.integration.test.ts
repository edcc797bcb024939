import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expectConserved, openEngine } from '@esteira/test/engine'
import { runOn, startProxy, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { aCall } from '../../test/a-group.ts'
import { insert, leadTable } from '../../test/insert-lead.ts'
import { admin, call, connections, query, target, useTarget } from '../../test/use-target.ts'
import type { DatabaseQuery } from '../database-query.ts'
import { readRows } from './read-rows.ts'

useTarget(leadTable, {})

const read = (sql: string, of: Parameters<typeof aCall>[1] = {}, isStream = true, mostMs = 600_000) =>
  readRows(connections, { connection: 'crm', sql, rows: 'wanted', maxRows: null }, aCall([], of), {
    limit: { of: isStream ? 'row' : 'result', mostBytes: 16 * 1024 * 1024 },
    mostMs,
  })

/** Sessions of the function that have a transaction open. */
const openTransactions = async () =>
  (
    await runOn(
      target.url,
      `select pid from pg_stat_activity
       where datname = current_database() and application_name = 'database-query' and xact_start is not null`,
    )
  ).length

const countOf = async (batches: AsyncIterable<{ rows: unknown[] }>): Promise<number> => {
  let count = 0
  for await (const { rows } of batches) count += rows.length
  return count
}

test.each([0, 1, 19, 20, 21, 100, 101, 5_000])('all of %i rows come, each once and in their order', async (rows) => {
  const given: unknown[] = []
  const sql = `select n, case when n % 2 = 0 then repeat('x', n) end as text from generate_series(1, ${rows}) n`
  for await (const batch of read(sql)) given.push(...batch.rows)
  expect(given).toEqual(
    Array.from({ length: rows }, (_, index) => ({
      n: index + 1,
      text: index % 2 === 0 ? null : 'x'.repeat(index + 1),
    })),
  )
})

test('rows come as they are asked for, all of the moment of the first', async () => {
  await admin.query('insert into lead select generate_series(1, 1000)')
  const batches = read('select id from lead order by id')
  const { value: first } = await batches.next()
  expect(first).toMatchObject({ rows: { length: 20 }, isLast: false })
  await admin.query(`insert into lead select generate_series(1001, 2000); update lead set id = -id where id > 500`)
  expect(await countOf(batches)).toBe(980)
  expect(await openTransactions()).toBe(0)
})

/** Of twenty, which is what is asked for first, a link of this machine holds less than the half: its buffers are 32 MiB. */
const largeBytes = 4 * 1024 * 1024

test.each([
  ['the first', 0],
  ['behind small ones', 6_000],
])('large rows, %s, are taken from the server few at a time, whatever was asked for', async (_, small) => {
  const sql = `select n, repeat('x', case when n > ${small} then ${largeBytes} else 1 end) as text
    from generate_series(1, ${small + 40}) n`
  const [most, given]: [number, number[]] = [largeBytes + 1024 * 1024 + 64 * 1024, []]
  const lengths = new Map<number, number>()
  for await (const { rows, bytes } of read(sql)) {
    expect(bytes).toBeLessThan(most)
    for (const { n, text } of z.array(z.object({ n: z.number(), text: z.string() })).parse(rows)) {
      given.push(n)
      lengths.set(text.length, (lengths.get(text.length) ?? 0) + 1)
    }
    // Whoever is slow has what comes meanwhile in hand as well.
    if (given.length === small + 1) await waitFor(async () => (await held()) === 1)
  }
  expect(given).toEqual(Array.from({ length: small + 40 }, (__, index) => index + 1))
  expect(lengths.get(largeBytes)).toBe(40)
  expect(await openTransactions()).toBe(0)
})

test('whoever takes no more of rows that are held back frees the session, and so does a cancel', async () => {
  const sql = `select repeat('x', ${largeBytes}) from generate_series(1, 100)`
  for await (const { rows } of read(sql)) {
    expect(rows).toHaveLength(1)
    await waitFor(async () => (await held()) === 1)
    break
  }
  await waitFor(async () => (await openTransactions()) === 0)
  const over = new AbortController()
  const batches = read(sql, { signal: over.signal })
  await batches.next()
  await waitFor(async () => (await held()) === 1)
  over.abort(new Error('out of time'))
  await waitFor(async () => (await openTransactions()) === 0)
  await expect(batches.next()).rejects.toThrow('out of time')
})

/** Sessions that cannot send, as nobody reads. */
const held = async () =>
  (
    await runOn(
      target.url,
      `select pid from pg_stat_activity where datname = current_database() and wait_event = 'ClientWrite'`,
    )
  ).length

test('whoever takes no more rows frees the session', async () => {
  for await (const { rows } of read('select generate_series(1, 1000000)')) {
    expect(rows).toHaveLength(20)
    expect(await openTransactions()).toBe(1)
    break
  }
  await waitFor(async () => (await openTransactions()) === 0)
})

test('a read that is cancelled while the server is at work is cancelled there', async () => {
  const over = new AbortController()
  const sql = 'select n, pg_sleep(case when n > 20 then 60 else 0 end) from generate_series(1, 90) n'
  const batches = read(sql, { signal: over.signal })
  await batches.next()
  const next = batches.next().catch((error: unknown) => error)
  await waitFor(async () => (await runOn(target.url, sleepers)).length === 1)
  over.abort(new Error('out of time'))
  expect(await next).toMatchObject({ message: 'out of time' })
  await waitFor(async () => (await openTransactions()) === 0)
})

test('a read that is cancelled while nobody takes its rows frees its session at once', async () => {
  const over = new AbortController()
  const batches = read('select n from generate_series(1, 90) n', { signal: over.signal })
  await batches.next()
  expect(await openTransactions()).toBe(1)
  over.abort(new Error('out of time'))
  await waitFor(async () => (await openTransactions()) === 0)
  await expect(batches.next()).rejects.toThrow('out of time')
})

const sleepers = `select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`

test('a statement that fails behind its first rows is told as ever, and frees its session', async () => {
  const sql = 'select 1 / (50 - n) as part from generate_series(1, 90) n'
  await expect(countOf(read(sql))).rejects.toMatchObject({ code: '22012' })
  await waitFor(async () => (await openTransactions()) === 0)
})

test('a session that is killed behind the first rows costs an attempt', async () => {
  const batches = read('select generate_series(1, 1000)')
  await batches.next()
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where application_name = 'database-query' and datname = current_database() and xact_start is not null`,
  )
  await expect(countOf(batches)).rejects.toMatchObject({ code: 'session_lost', final: false })
})

test.each([true, false])(
  'the server ends a read that is over its time, whoever does not: as a stream, %s',
  async (isStream) => {
    // As by a worker that is frozen, which hears of no abort: the time is over, and what the server leaves for that as well.
    const batches = read('select generate_series(1, 1000)', {}, isStream, 500 - 30_000)
    await batches.next()
    await waitFor(async () => (await openTransactions()) === 0)
    await expect(countOf(batches)).rejects.toMatchObject({ code: '25P04' })
  },
)

test('a text without a statement in place of a read gives nothing', async () => {
  expect(await call({ sql: '-- nothing', mode: 'query' })).toBeNull()
})

test('streams that nobody takes rows of leave sessions to others, and wait for each other', async () => {
  const streams = Array.from({ length: 12 }, () => read('select generate_series(1, 1000) as n'))
  const firsts = streams.map((stream) => stream.next())
  await waitFor(async () => (await openTransactions()) === 3)
  expect(await Promise.all(Array.from({ length: 20 }, (_, id) => call(insert(id))))).toHaveLength(20)
  expect(await call({ sql: 'select count(*)::int from lead' })).toEqual([{ count: 20 }])
  expect(await openTransactions()).toBe(3)
  for (const [index, stream] of streams.entries()) {
    expect(await firsts[index]).toMatchObject({ done: false, value: { rows: { length: 20 } } })
    await stream.return(undefined)
  }
})

test('a result that is one value is read no further than it may be large', async () => {
  const sql = `select repeat('x', 1000) as text from generate_series(1, 1000000)`
  const failure = await call({ sql }, { outputType: 'single' }).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'result_too_large', final: true })
  expect(String(failure)).toContain('set outputType "multiple"')
  const [, rows = ''] = /after ([\d,]+) rows/.exec(String(failure)) ?? []
  expect(Number(rows.replaceAll(',', ''))).toBeLessThan(2_000)
  await waitFor(async () => (await openTransactions()) === 0)
})

test('a million rows go on in flat memory', async () => {
  const program = fileURLToPath(new URL('../../test/many-rows.ts', import.meta.url))
  // A heap that has no room for what would be kept, nor for young objects to lie about in.
  const heap = ['--max-old-space-size=64', '--max-semi-space-size=4']
  const child = spawn(process.execPath, [...heap, program, target.url, '1000000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (bytes) => (said += String(bytes)))
  await once(child, 'close')
  const { rows, peakMiB } = JSON.parse(said)
  expect(rows).toBe(1_000_000)
  expect(peakMiB).toBeLessThan(200)
}, 180_000)

test('a select whose worker is lost begins again, and the next step sees each row of one moment once', async () => {
  await admin.query('insert into lead select generate_series(1, 600)')
  const engine = await openEngine()
  const brokerLink = await startProxy(engine.rabbitmqUrl)
  onTestFinished(async () => {
    await engine.close()
    await brokerLink.stop()
  })
  const stuck = Promise.withResolvers<void>()
  let given = 0
  const lost: DatabaseQuery['fn'] = {
    ...query.fn,
    call: (context) =>
      query.fn.call({
        ...context,
        emit: async (items) => {
          given += items.length
          await context.emit(items)
          if (given < 400) return
          stuck.resolve()
          await new Promise(() => {})
        },
      }),
  }
  await engine.startWorker([lost], { rabbitmqUrl: brokerLink.url, graceMs: 0, pageItems: 100 })
  const workflow = await engine.saveWorkflow(
    {
      functionName: 'Database.query',
      outputType: 'multiple',
      config: { connection: 'crm', sql: 'select id, email from lead order by id' },
    },
    {
      functionName: 'Database.query',
      outputType: null,
      config: {
        connection: 'crm',
        sql: 'insert into seen values ($1, $2)',
        params: ['{{ payload.id }}', '{{ payload.email }}'],
      },
    },
  )
  await admin.query('create table seen (id int, email text)')
  const run = await engine.begin(workflow, {})
  await stuck.promise
  await waitFor(async () => (await engine.jobs(run)).some(({ status }) => status === 'hidden'))
  await admin.query(`insert into lead select generate_series(601, 700); update lead set email = id::text`)
  await engine.startWorker([query.fn], { pageItems: 100 })
  brokerLink.cut()
  expect(await engine.over(run)).toBe('succeeded')
  const { rows } = await admin.query(
    `select count(*)::int, count(distinct id)::int as ids, count(email)::int as emails from seen`,
  )
  expect(rows).toEqual([{ count: 700, ids: 700, emails: 700 }])
  await expectConserved(engine)
}, 60_000)
