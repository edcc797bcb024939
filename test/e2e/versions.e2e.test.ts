import { startTestHouse, type TestHouse, waitFor } from '@esteira/test/support'
import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'

let house: TestHouse

beforeAll(async () => {
  house = await startTestHouse({
    leads: 3,
    cron: 'off',
    crmSql: `create table seen (version text, n int, note text); create table gate (n int)`,
  })
})
afterAll(() => house.stop())

const query = (name: string, sql: string, params: unknown[], rest: object = {}) => ({
  name,
  functionName: 'Database.query',
  config: { connection: 'crm', sql, params },
  ...rest,
})

const start = {
  name: 'start',
  functionName: 'CronJob',
  config: { schedule: '0 0 1 1 *', payload: [{ n: 1 }, { n: 2 }, { n: 3 }] },
  nextStep: 'work',
  outputType: 'multiple',
}

/** The steps of the first version: each item waits for the gate, and is written down by the step after it. */
const before = [
  start,
  query('work', 'select $1::int as n, (select count(*) from gate) as opened', ['{{ payload.n }}'], {
    nextStep: 'write',
    outputType: 'multiple',
  }),
  query('write', `insert into seen values ('old', $1, 'written')`, ['{{ payload.n }}']),
]

/** The second step does something else, by another function, and leads elsewhere. */
const after = [
  start,
  {
    name: 'work',
    functionName: 'RdStation.getLeads',
    config: { segmentationId: '{{ payload.n }}' },
    nextStep: 'note',
    outputType: 'single',
  },
  query('note', `insert into seen values ('new', $1, 'noted')`, ['{{ $count(payload) }}']),
]

/** Keeps everybody from reading the gate, until it is opened. */
const closeGate = async (): Promise<() => Promise<void>> => {
  const client = new pg.Client(house.settings.crmUrl)
  await client.connect()
  await client.query('begin; lock table gate in access exclusive mode')
  let isClosed = true
  const open = async () => {
    if (isClosed) await client.end()
    isClosed = false
  }
  onTestFinished(open)
  return open
}

const versionOf = async ({ id }: { id: string }): Promise<unknown> =>
  house.sql(`select version from workflow_run where id = '${id}'`)

test('a run in flight ends on the version that it began with, while a new one is saved and run', async () => {
  const openGate = await closeGate()
  const first = await house.api.createWorkflow({ name: 'versions', steps: before })
  const oldRun = await house.api.startRun(first)
  const atWork = async () => (await house.api.jobs(first, oldRun.id, 'work')).map(({ status }) => status)
  await waitFor(async () => (await atWork()).includes('running'), { deadlineMs: 60_000, describe: atWork })
  const second = await house.api.changeWorkflow(first, { name: 'versions', steps: after })
  const newRun = await house.api.startRun(second)
  expect(await house.api.runOver(newRun.id)).toMatchObject({ status: 'succeeded' })
  expect(await house.api.run(oldRun.id)).toMatchObject({ status: 'running' })

  await openGate()
  expect(await house.api.runOver(oldRun.id)).toMatchObject({ status: 'succeeded' })
  expect([await versionOf(oldRun), await versionOf(newRun)]).toEqual([[{ version: 1 }], [{ version: 2 }]])
  expect(await house.crm('select version, n, note from seen order by version desc, n')).toEqual([
    ...[1, 2, 3].map((n) => ({ version: 'old', n, note: 'written' })),
    ...[1, 2, 3].map(() => ({ version: 'new', n: 3, note: 'noted' })),
  ])
})
