import { randomUUID } from 'node:crypto'
import { testFunction } from '@esteira/workflow'
import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { aCall, settle } from '../test/a-group.ts'
import { aContext } from '../test/call-query.ts'
import { emails, insert, leadTable } from '../test/insert-lead.ts'
import { admin, call, connections, log, query, useTarget } from '../test/use-target.ts'

useTarget(`${leadTable}; create sequence tries`, {})

const plain = { sql: 'insert into lead values ($1, $2)', params: [1, 'a@example.com'] }
const next = { outputType: 'single', hasNext: true, payload: { from: 'before' } } as const
const items = [{ n: 1 }, { n: 2 }]

test('a statement that can give no rows passes the payload on, and ends with nothing', async () => {
  expect(await call(plain, next)).toEqual({ from: 'before' })
  const rest = (id: number) => ({ ...plain, params: [id, null] })
  expect(await call(rest(2), { ...next, outputType: 'multiple', payload: items })).toEqual(items)
  expect(await call(rest(3), { outputType: 'single' })).toBeNull()
  expect(await call(rest(4), { outputType: 'multiple' })).toEqual([])
  expect(await call({ sql: `set work_mem = '4MB'`, mode: 'query' }, next)).toEqual({ from: 'before' })
  expect(await emails()).toHaveLength(4)
})

test('a statement that can give rows gives them, also when there are none', async () => {
  expect(await call(insert(1), next)).toEqual([{ id: 1 }])
  expect(await call({ sql: 'update lead set id = 2 where id = 9 returning id' }, next)).toEqual([])
  expect(await call({ sql: 'select id from lead where id = 9' }, next)).toEqual([])
})

test.each(['query', 'execute'] as const)(
  'a statement that would go on without end is stopped at the first row that is too many, by mode %s',
  async (mode) => {
    const sql = 'select generate_series(1, 2000000000) as id'
    const endless = { sql, mode, maxRows: 10, output: 'none' } as const
    await expect(call(endless, { outputType: null })).rejects.toMatchObject({ code: 'too_many_rows', final: true })
    const atWork = `select from pg_stat_activity where state = 'active' and query like '%generate_series(1, 2000000000)%'
      and pid <> pg_backend_pid()`
    await waitFor(async () => (await admin.query(atWork)).rowCount === 0)
  },
)

test('output payload passes the payload on, whatever the statement gives', async () => {
  expect(await call({ ...insert(1), output: 'payload' }, next)).toEqual({ from: 'before' })
  expect(await call({ sql: 'select id from lead', output: 'payload' }, next)).toEqual({ from: 'before' })
  expect(
    await call({ sql: 'select id from lead', output: 'payload' }, { ...next, outputType: 'multiple', payload: items }),
  ).toEqual(items)
})

test('output rows is for a statement that can give some', async () => {
  await expect(call({ ...plain, output: 'rows' }, next)).rejects.toMatchObject({ code: 'config_invalid', final: true })
  expect(await emails()).toEqual([])
})

test('output none has no result, so its step has no outputType', async () => {
  await expect(call({ ...plain, output: 'none' }, next)).rejects.toThrow('with config.output "none" there is no result')
  expect(await call({ ...insert(1), output: 'none' }, { outputType: null })).toBeUndefined()
})

test.each(['single', 'multiple'] as const)(
  'under %s a job that comes again passes on what it did the first time: rows, none of them, or the payload',
  async (outputType) => {
    const of = { ...next, outputType, payload: items }
    for (const { config, given } of [
      { config: insert(1), given: [{ id: 1 }] },
      { config: { sql: 'delete from lead where id = 99 returning id' }, given: [] },
      { config: { ...plain, params: [2, null] }, given: items },
    ]) {
      const jobId = randomUUID()
      for (const _ of ['first', 'second']) expect(await call(config, { ...of, jobId })).toEqual(given)
    }
  },
)

test('rows that do not go on are not kept in the ledger', async () => {
  const jobIds = [randomUUID(), randomUUID()]
  await call(insert(1), { outputType: null, jobId: jobIds[0] ?? '' })
  await call({ ...insert(2), output: 'payload' }, { ...next, jobId: jobIds[1] ?? '' })
  const { rows } = await admin.query('select rows from esteira_applied where job_id = any ($1::uuid[])', [jobIds])
  expect(rows).toEqual([{ rows: null }, { rows: null }])
})

const many = `insert into lead select generate_series(1, 12) returning id`

test.each([
  ['a statement that writes', many],
  ['one that reads', 'select generate_series(1, 1000000) as id'],
])('%s may give as many rows as maxRows, and no more: none is cut off', async (_, sql) => {
  await expect(call({ sql, maxRows: 11 }, next)).rejects.toMatchObject({ code: 'too_many_rows', final: true })
  expect(await emails()).toEqual([])
  await expect(call({ sql: many, maxRows: 12 }, next)).resolves.toHaveLength(12)
  await expect(call({ sql: 'select id from lead', maxRows: 12 }, next)).resolves.toHaveLength(12)
})

test('a run of a group that gives too many rows fails alone', async () => {
  const sql = 'insert into lead select generate_series($1::int, $2::int) returning id'
  const group = [aCall([1, 2]), aCall([11, 14]), aCall([21, 23])]
  expect(await settle(sql, group, { maxRows: 3 })).toEqual([
    [{ id: 1 }, { id: 2 }],
    expect.objectContaining({ code: 'too_many_rows' }),
    [{ id: 21 }, { id: 22 }, { id: 23 }],
  ])
  expect(await emails()).toHaveLength(5)
})

const rowByRow = { outputType: 'multiple', hasNext: true } as const
const eighty = `insert into lead select generate_series(1, 80) returning repeat('x', 1000000) as text`

test.each([
  ['a few of them large', eighty],
  ['very many of them small', 'insert into lead select generate_series(1, 700000) returning id'],
])('the rows of a statement that writes fit into memory, or it is not written: %s', async (_, sql) => {
  await expect(call({ sql }, rowByRow)).rejects.toMatchObject({
    code: 'result_too_large',
    final: true,
    message: expect.stringContaining(
      'config.sql gives rows that take more than 64 MiB in memory, and may write: nothing is written',
    ),
  })
  expect(await emails()).toEqual([])
})

test('of rows that are one value no more are kept than fit into a payload, and of those that do not go on none', async () => {
  await expect(call({ sql: eighty }, next)).rejects.toMatchObject({
    code: 'result_too_large',
    message: expect.stringContaining('more than 1,048,576 bytes as JSON, after 2 rows'),
  })
  expect(await emails()).toEqual([])
  expect(await call({ sql: eighty }, { outputType: null })).toBeUndefined()
  expect(await emails()).toHaveLength(80)
})

/** A sequence tells of a statement that was rolled back as well. */
const much = `insert into lead select generate_series(1, 6) where nextval('tries') > 0
  returning repeat('x', 1000000) as text`

/** Begins a statement that gives much, and holds it before its last row until it is let go. */
const holdMuch = async () => {
  // Of a select the rows come one by one, and the last of these waits. Those of an insert come when all is done.
  const held = `select case when n < 6 or pg_advisory_xact_lock(57) is not null then repeat('x', 1000000) end as text
    from generate_series(1, 6) n`
  const letGo = () => admin.query('select pg_advisory_unlock_all()')
  await admin.query(`select pg_advisory_lock(57), setval('tries', 1, false)`)
  onTestFinished(async () => {
    await letGo()
  })
  const given = call({ sql: held, mode: 'execute' }, rowByRow)
  await waitFor(isMemoryTaken)
  return { given, letGo }
}

test('a statement that gives much beside another that does waits for its turn, and small ones go on', async () => {
  const first = await holdMuch()
  let isOver = false
  const second = call({ sql: much }, rowByRow).finally(() => (isOver = true))
  await waitFor(async () => isOver || (await isRolledBack()))
  expect(isOver).toBe(false)
  expect(await call(insert(7), next)).toEqual([{ id: 7 }])
  expect(await emails(), 'the one that waits has locked and written nothing').toHaveLength(1)
  await first.letGo()
  expect(await first.given).toHaveLength(6)
  expect(await second).toHaveLength(6)
  expect(await emails()).toHaveLength(7)
  await waitFor(() => !isMemoryTaken())
})

test('where its turn does not come in half of its time its job is put off, as one that is cancelled meanwhile is not', async () => {
  const first = await holdMuch()
  const jobId = randomUUID()
  expect(await call({ sql: much }, { ...rowByRow, jobId, timeoutMs: 200 })).toMatchObject({
    delayMs: 5_000,
    reason: expect.stringContaining('for which this worker has no memory while it has those of others'),
  })
  const over = new AbortController()
  await admin.query(`select setval('tries', 1, false)`)
  const cancelled = call({ sql: much }, { ...rowByRow, signal: over.signal })
  await waitFor(isRolledBack)
  over.abort(new Error('out of time'))
  await expect(cancelled).rejects.toThrow('out of time')
  await first.letGo()
  expect(await first.given).toHaveLength(6)
  expect(await call({ sql: much }, { ...rowByRow, jobId })).toHaveLength(6)
})

test('rows that are much have their memory until all of them are taken', async () => {
  const taken = Promise.withResolvers<void>()
  const emitted: unknown[] = []
  const first = query.fn.call({
    ...aContext(log, rowByRow),
    config: { connection: 'crm', sql: much },
    emit: async (rows) => {
      emitted.push(...rows)
      if (emitted.length === 6) await taken.promise
    },
  })
  await waitFor(() => emitted.length === 6)
  expect(isMemoryTaken()).toBe(true)
  taken.resolve()
  await first
  expect(isMemoryTaken()).toBe(false)
})

/** Whether the statement that gives much was run, and is not at work: it was rolled back. */
const isRolledBack = async (): Promise<boolean> => {
  const { rowCount } = await admin.query(
    `select from tries where is_called
       and not exists (select from pg_stat_activity where query like '%''tries''%' and pid <> pg_backend_pid())`,
  )
  return rowCount === 1
}

/** Whether a transaction has what one at a time may have. */
const isMemoryTaken = (): boolean => {
  const share = connections.results.open()
  try {
    share.makeRoom(5_000_000)
    return false
  } catch {
    return true
  } finally {
    share.close()
  }
}

test.each([
  ['many bytes', much],
  [
    'few bytes, and many numbers',
    `insert into lead select generate_series(1, 6) returning (select array_agg(n) from generate_series(1, 50000) n)::bigint[]`,
  ],
])('so does a job that comes again and whose rows, which the ledger has, are much: %s', async (_, sql) => {
  const [muchId, littleId] = [randomUUID(), randomUUID()]
  const again = async () => [
    await call({ sql }, { ...rowByRow, jobId: muchId, timeoutMs: 200 }),
    await call(insert(7), { ...next, jobId: littleId }),
  ]
  const given = await again()
  const other = connections.results.open()
  onTestFinished(other.close)
  other.makeRoom(5_000_000)
  expect(await again()).toEqual([expect.objectContaining({ delayMs: 5_000 }), [{ id: 7 }]])
  other.close()
  expect(await again()).toEqual(given)
  expect(await emails()).toHaveLength(7)
})

test('what only reads, and is run as if it wrote, is told how it may give as much as it likes', async () => {
  const sql = `select repeat('x', 1000000) as text from generate_series(1, 80)`
  const failure: unknown = await call({ sql, mode: 'execute' }, rowByRow).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'result_too_large', final: true })
  expect(String(failure)).toContain('may give any number of rows with config.mode "query"')
  expect(String(failure)).not.toContain('returning')
})

test.each([
  ['a statement that reads', 'select one.id, other.email, other.id from lead one, lead other'],
  ['one that writes', 'insert into lead values (1) returning id, email, id'],
])('%s has no two columns of one name, of which one would be lost, but where its rows do not go on', async (_, sql) => {
  await expect(call({ sql }, next)).rejects.toMatchObject({
    code: 'config_invalid',
    final: true,
    message: 'config.sql gives two columns with the name "id": give one of them another by "as"',
  })
  expect(await emails()).toEqual([])
  expect(await call({ sql, output: 'payload' }, next)).toEqual({ from: 'before' })
})

const large = `insert into lead select 1 returning repeat('x', 1100000) as text`

test.each([
  ['one value', { outputType: 'single', hasNext: true }],
  ['an output', { outputType: 'multiple', hasNext: false }],
  ['a row that is a job', { outputType: 'multiple', hasNext: true }],
] as const)('%s that does not fit into a payload is not written', async (_, of) => {
  const jobId = randomUUID()
  await expect(call({ sql: large }, { ...of, jobId })).rejects.toMatchObject({
    code: 'result_too_large',
    final: true,
    message: expect.stringMatching(/^config\.sql gives .*more than 1,048,576 bytes as JSON/),
  })
  expect(await emails()).toEqual([])
  const { rowCount } = await admin.query('select from esteira_applied where job_id = $1', [jobId])
  expect(rowCount).toBe(0)
})

test('rows that do not go on may be as large as they are, and those that are jobs are held to the limit one by one', async () => {
  expect(await call({ sql: large }, { outputType: null })).toBeUndefined()
  const halves = `insert into lead select n from generate_series(2, 4) n returning repeat('x', 500000) as text`
  expect(await call({ sql: halves }, { outputType: 'multiple', hasNext: true })).toHaveLength(3)
  expect(await emails()).toHaveLength(4)
})

test('a run of a group whose rows do not fit fails alone', async () => {
  const sql = `insert into lead values ($1) returning repeat('x', $2) as text`
  const outcomes = await settle(sql, [aCall([1, 10]), aCall([2, 200]), aCall([3, 10])], {
    limit: { of: 'result', mostBytes: 100 },
  })
  expect(outcomes).toMatchObject([[{ text: 'xxxxxxxxxx' }], { code: 'result_too_large' }, [{ text: 'xxxxxxxxxx' }]])
  expect((await admin.query('select id from lead order by id')).rows).toEqual([{ id: 1 }, { id: 3 }])
})

test.each([
  ['a U+0000', '\\u0000'],
  ['half of a pair', '\\ud800'],
])('JSON with %s is told as such, not as a fault of the ledger, and fails its own run alone', async (_, bad) => {
  const sql = `insert into lead values ($1) returning replace('{"text": "a"}', 'a', $2)::json as document`
  await expect(call({ sql, params: [9, bad] }, next)).rejects.toMatchObject({
    code: 'result_refused',
    final: true,
    message: expect.stringContaining('config.sql gives JSON with a character U+0000'),
  })
  const outcomes = await settle(sql, [aCall([1, 'b']), aCall([2, bad]), aCall([3, 'c'])])
  expect(outcomes).toMatchObject([
    [{ document: { text: 'b' } }],
    { code: 'result_refused' },
    [{ document: { text: 'c' } }],
  ])
  expect(await emails()).toHaveLength(2)
})

test('rows that hold a secret are not written: they would be refused behind the commit', async () => {
  const job = {
    config: {
      connection: 'crm',
      sql: 'insert into lead values ($1, $2) returning email',
      params: [1, { $secret: 'token' }],
      once: false,
    },
    secrets: { token: 'a-long-secret' },
  }
  await expect(testFunction(query.fn, job)).rejects.toMatchObject({
    code: 'output_invalid',
    message: 'the result holds the secret "token", which is never stored',
  })
  expect(await emails()).toEqual([])
  await testFunction(query.fn, { ...job, outputType: null })
  expect(await emails()).toEqual(['a-long-secret'])
})

test('with once false there is no ledger, and a job that comes again runs its statement again', async () => {
  const jobId = randomUUID()
  const config = { sql: 'insert into lead select 1 + count(*) from lead returning id', once: false }
  expect(await call(config, { ...next, jobId })).toEqual([{ id: 1 }])
  expect(await call(config, { ...next, jobId })).toEqual([{ id: 2 }])
  const { rowCount } = await admin.query('select from esteira_applied where job_id = $1', [jobId])
  expect(rowCount).toBe(0)
})

test('runs of a group go without a ledger as well', async () => {
  const jobId = randomUUID()
  const group = [aCall([1], { jobId }), aCall([2], { jobId })]
  expect(await settle('insert into lead values ($1) returning id', group, { once: false })).toEqual([
    [{ id: 1 }],
    [{ id: 2 }],
  ])
})
