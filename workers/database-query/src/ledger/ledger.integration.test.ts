import { randomBytes, randomUUID } from 'node:crypto'
import { waitFor } from '@esteira/test/support'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { aCall, settle } from '../../test/a-group.ts'
import { callQuery, type QueryConfig } from '../../test/call-query.ts'
import { emails, insert, leadTable } from '../../test/insert-lead.ts'
import { admin, link, log, logged, target, useTarget } from '../../test/use-target.ts'
import { type Connections, openConnections } from '../connections.ts'
import { databaseQuery } from '../database-query.ts'
import { createLedgerPruner } from './keep-pruned.ts'
import { pruneLedger } from './prune.ts'

const asClerk = (address: URL) => {
  address.username = 'clerk'
  address.password = 'clerk'
}

useTarget(
  `${leadTable};
   create role clerk login password 'clerk';
   grant usage on schema public to clerk;
   grant select, insert on lead to clerk`,
  { clerk: asClerk },
)

afterAll(() => admin.query('drop owned by clerk; drop role clerk'))

/** Connections of a process that has not seen the ledger yet. */
const fresh = (): Connections => {
  const clerk = new URL(target.url)
  asClerk(clerk)
  const urls = new Map([
    ['crm', target.url],
    ['clerk', clerk.href],
  ])
  const opened = openConnections(urls, log)
  onTestFinished(opened.close)
  return opened
}

const ask = (config: QueryConfig, of: Parameters<typeof callQuery>[3], by = fresh()) =>
  callQuery(databaseQuery(by), log, config, of)

/** The ledger as it was before it knew of revisions, with one job in it that gave a row. */
const oldLedger = async (): Promise<string> => {
  const jobId = randomUUID()
  await admin.query(
    `drop table if exists esteira_applied;
     create table esteira_applied (job_id uuid primary key, rows jsonb, applied_at timestamptz not null default now())`,
  )
  await admin.query('insert into esteira_applied values ($1, $2)', [jobId, '[{"id": 7}]'])
  return jobId
}

test('a job that somebody sends again runs its statement once more, also with another payload', async () => {
  const jobId = randomUUID()
  const by = fresh()
  expect(await ask(insert(1), { jobId }, by)).toEqual([{ id: 1 }])
  expect(await ask(insert(2), { jobId, revision: 1 }, by)).toEqual([{ id: 2 }])
  for (const revision of [0, 1]) {
    expect(await ask(insert(3), { jobId, revision }, by)).toEqual([{ id: revision + 1 }])
  }
  expect(await emails()).toEqual(['1@example.com', '2@example.com'])
})

test('a select that others hear of is run once for its job, as what writes is', async () => {
  const heard: (string | undefined)[] = []
  const hear = ({ payload }: { payload?: string | undefined }) => heard.push(payload)
  admin.on('notification', hear)
  onTestFinished(async () => {
    admin.off('notification', hear)
    await admin.query('unlisten *')
  })
  await admin.query('listen leads')
  const [jobId, by] = [randomUUID(), fresh()]
  const told = { sql: "select 1 as told from pg_notify('leads', $1)", params: ['ana'] }
  for (const _ of [1, 2]) expect(await ask(told, { jobId }, by)).toEqual([{ told: 1 }])
  await ask({ ...told, params: ['last'] }, {}, by)
  await waitFor(() => heard.includes('last'))
  expect(heard).toEqual(['ana', 'last'])
})

test.each([
  ['dropped', 'drop table esteira_applied'],
  ['moved', 'create schema archive; alter table esteira_applied set schema archive'],
])('a ledger that is %s while the worker runs is made again, and what is in it then counts', async (_, sql) => {
  const [jobId, by] = [randomUUID(), fresh()]
  await ask(insert(1), {}, by)
  await admin.query(sql)
  onTestFinished(async () => {
    await admin.query('drop schema if exists archive cascade')
  })
  for (const time of ['first', 'again']) expect(await ask(insert(2), { jobId }, by), time).toEqual([{ id: 2 }])
  expect(await emails()).toHaveLength(2)
})

/** Connections of a process that has not seen the ledger yet, and waits for nothing longer than a moment. */
const hasty = (url: string): Connections => {
  const opened = openConnections(new Map([['crm', url]]), log, { waitMs: 500 })
  onTestFinished(opened.close)
  return opened
}

const late = { delayMs: 5_000, reason: expect.stringContaining('esteira_applied of config.connection was not there') }

test('a job waits when the database says nothing any more while its ledger is looked for', async () => {
  const by = hasty(link.url)
  link.pauseBehind('to_regclass')
  onTestFinished(link.resume)
  expect(await ask(insert(1), {}, by)).toMatchObject(late)
  link.resume()
  expect(await ask(insert(1), {}, by)).toEqual([{ id: 1 }])
})

test('so it does while the making of a ledger waits for somebody else, and nothing is left of that in the server', async () => {
  const by = hasty(target.url)
  await admin.query('drop table if exists esteira_applied')
  await admin.query(`begin; select pg_advisory_xact_lock(hashtext('esteira_applied'))`)
  onTestFinished(async () => {
    await admin.query('rollback')
  })
  expect(await ask(insert(1), {}, by)).toMatchObject(late)
  const waiting = await admin.query(`select from pg_locks where locktype = 'advisory' and not granted`)
  expect(waiting.rowCount).toBe(0)
  await admin.query('rollback')
  expect(await ask(insert(1), {}, by)).toEqual([{ id: 1 }])
})

test('two revisions of a job in one group are two runs', async () => {
  const [jobId, sql] = [randomUUID(), 'insert into lead (id) values ($1) returning id']
  const group = [aCall([1], { jobId }), aCall([2], { jobId, revision: 1 }), aCall([3], { jobId })]
  expect(await settle(sql, group)).toEqual([[{ id: 1 }], [{ id: 2 }], [{ id: 1 }]])
})

test('an older ledger gets revisions, and what is in it counts as before', async () => {
  const jobId = await oldLedger()
  expect(await ask(insert(1), { jobId })).toEqual([{ id: 7 }])
  expect(await emails()).toEqual([])
  expect(await ask(insert(1), { jobId, revision: 1 })).toEqual([{ id: 1 }])
})

test('an older ledger is altered by several processes at once', async () => {
  await oldLedger()
  const ids = [1, 2, 3, 4]
  expect(await Promise.all(ids.map((id) => ask(insert(id), {})))).toEqual(ids.map((id) => [{ id }]))
})

test('who may not alter an older ledger is told the SQL that does', async () => {
  await oldLedger()
  const clerk = { ...insert(1), connection: 'clerk' }
  const failure = await ask(clerk, {}).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'ledger_outdated', final: true })
  const [, sql = ''] = /have it done with: ([\s\S]*)$/.exec(String(failure)) ?? []
  await admin.query(`${sql}; grant select, insert, update on esteira_applied to clerk`)
  expect(await ask(clerk, {})).toEqual([{ id: 1 }])
})

/** The id of a job that was made so long ago. */
const idOf = (days: number): string => {
  const time = Math.floor(Date.now() - days * 86_400_000)
    .toString(16)
    .padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${randomBytes(6).toString('hex')}`
}

const emptyLedger = async () => {
  const by = fresh()
  const ledger = await by.ledger('crm')
  await admin.query('truncate esteira_applied')
  return { by, ledger }
}

/** Writes entries of jobs that were made, and applied, so many days ago. */
const enter = async (...entries: readonly { made: number; applied: number }[]): Promise<void> => {
  for (const { made, applied } of entries) {
    await admin.query(
      `insert into esteira_applied (job_id, applied_at) values ($1, now() - make_interval(days => $2))`,
      [idOf(made), applied],
    )
  }
}

const daysInLedger = async (): Promise<number[]> => {
  const { rows } = await admin.query<{ days: number }>(
    `select extract(day from now() - applied_at)::int as days from esteira_applied order by 1`,
  )
  return rows.map(({ days }) => days)
}

const prune = (by: Connections, ledger: string): Promise<number> =>
  pruneLedger(by, 'crm', { ledger, days: 30, signal: new AbortController().signal })

test('entries are kept for so many days after they were applied, however old the job is', async () => {
  const { by, ledger } = await emptyLedger()
  await enter(
    { made: 29, applied: 29 },
    { made: 31, applied: 31 },
    { made: 400, applied: 29 },
    { made: 40, applied: 40 },
  )
  expect(await prune(by, ledger)).toBe(2)
  expect(await daysInLedger()).toEqual([29, 29])
})

test('more entries than go into one transaction are removed all', async () => {
  const { by, ledger } = await emptyLedger()
  await admin.query(
    `insert into esteira_applied (job_id, revision, applied_at)
     select $1, n, now() - interval '90 days' from generate_series(1, 12000) n`,
    [idOf(90)],
  )
  expect(await prune(by, ledger)).toBe(12_000)
  expect(await daysInLedger()).toEqual([])
})

test('of several processes one prunes, and the others do not wait for it', async () => {
  const { by, ledger } = await emptyLedger()
  await enter({ made: 31, applied: 31 })
  await admin.query(`begin; select pg_advisory_xact_lock(hashtext('esteira_applied pruned'))`)
  expect(await prune(by, ledger)).toBe(0)
  await admin.query('rollback')
  expect(await prune(by, ledger)).toBe(1)
})

/** Has the ledger locked until it gives the lock back, or the test is over. */
const lockLedger = async () => {
  await admin.query('begin; lock table esteira_applied')
  const unlock = async () => {
    await admin.query('rollback')
  }
  onTestFinished(unlock)
  return unlock
}

const waitingForLedger = async (): Promise<number | null> => {
  const { rowCount } = await admin.query(
    `select from pg_locks where relation = 'esteira_applied'::regclass and not granted`,
  )
  return rowCount
}

test('a pruning that waits for somebody else gives its session back after a time, and leaves nothing in the server', async () => {
  const { ledger } = await emptyLedger()
  await enter({ made: 31, applied: 31 })
  const by = hasty(target.url)
  const unlock = await lockLedger()
  await expect(prune(by, ledger)).rejects.toMatchObject({
    code: 'ledger_late',
    message: expect.stringContaining('was not pruned within 0.5 s'),
  })
  expect(await waitingForLedger()).toBe(0)
  expect(by.pool('crm')).toMatchObject({ totalCount: 0, waitingCount: 0 })
  await unlock()
  expect(await prune(by, ledger)).toBe(1)
})

test('a pruning that waits for somebody else ends when the worker stops, and nothing is told of it', async () => {
  const { by, ledger } = await emptyLedger()
  await lockLedger()
  const pruner = createLedgerPruner(30, log, { firstMs: 1, everyMs: 1 })
  pruner.keepPruned(by, 'crm', ledger)
  await waitFor(async () => (await waitingForLedger()) === 1)
  await pruner.stop()
  expect(await waitingForLedger()).toBe(0)
  expect(logged).toEqual([])
})

test('a ledger is pruned again and again, and whoever may not delete is told so once', async () => {
  const { by } = await emptyLedger()
  await enter({ made: 31, applied: 31 })
  await admin.query('grant select on esteira_applied to clerk')
  const pruner = createLedgerPruner(30, log, { firstMs: 1, everyMs: 1 })
  onTestFinished(pruner.stop)
  const told = (event: string) => logged.filter((line) => line['event'] === event)
  pruner.keepPruned(by, 'clerk', 'esteira_applied')
  await waitFor(() => told('ledger.not-pruned').length > 0)
  pruner.keepPruned(by, 'crm', 'esteira_applied')
  await waitFor(() => told('ledger.pruned').length > 0)
  await enter({ made: 32, applied: 32 })
  await waitFor(() => told('ledger.pruned').length > 1)
  await pruner.stop()
  expect(told('ledger.not-pruned')).toMatchObject([
    { connection: 'clerk', reason: expect.stringContaining('permission denied') },
  ])
})
