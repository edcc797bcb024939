import { leadsWorkflow } from '@esteira/dev/house'
import { startTestHouse, type TestHouse, waitFor } from '@esteira/test/support'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'

const leads = 1_500
let house: TestHouse

beforeAll(async () => {
  // No key and no "on conflict": a lead that is written twice is there twice.
  house = await startTestHouse({ leads, cron: 'off', crmSql: 'create table lead (run text, uuid text, name text)' })
})
afterAll(() => house.stop())

/** The example's steps, but with an insert that forgives nothing. */
const [tick, getLeads, saveLead] = leadsWorkflow.steps
const workflow = (name: string) => ({
  name,
  steps: [
    tick,
    getLeads,
    {
      ...saveLead,
      config: {
        connection: 'crm',
        sql: 'insert into lead values ($1, $2, $3)',
        params: ['{{ run.id }}', '{{ payload.uuid }}', '{{ payload.name }}'],
      },
    },
  ],
})

const begin = async (name: string): Promise<string> =>
  (await house.api.startRun(await house.api.createWorkflow(workflow(name)))).id

const expectEveryLeadOnce = async (runId: string): Promise<void> => {
  const run = await house.api.runOver(runId, 120_000)
  expect(run).toMatchObject({
    status: 'succeeded',
    steps: [
      { name: 'every minute', staged: 0, belt: 0, succeeded: 1, failed: 0, cancelled: 0 },
      { name: 'get leads', staged: 0, belt: 0, succeeded: 1, failed: 0, cancelled: 0 },
      { name: 'save lead', staged: 0, belt: 0, succeeded: leads, failed: 0, cancelled: 0 },
    ],
  })
  const [written] = await house.crm(
    `select count(*)::int, count(distinct uuid)::int as different from lead where run = '${runId}'`,
  )
  expect(written).toEqual({ count: leads, different: leads })
  const [jobs] = await house.sql(
    `select count(*)::int as jobs, count(*) filter (where status = 'succeeded')::int as succeeded
     from workflow_job where run_id = '${runId}'`,
  )
  expect(jobs).toEqual({ jobs: leads + 2, succeeded: leads + 2 })
}

/** Duplicates of a killed relay may still be on their way when the run is over. */
const expectEmptyBelt = async (): Promise<void> => {
  const rows = `select (select count(*) from outbox_message)::int + (select count(*) from outbox_scheduled)::int as rows`
  const onTheBelt = async () => [
    ...(await house.sql(rows)),
    ...(await Promise.all(['RdStation.getLeads', 'Database.query'].map((queue) => house.broker.count(queue)))),
  ]
  await waitFor(async () => JSON.stringify(await onTheBelt()) === '[{"rows":0},0,0]', {
    deadlineMs: 20_000,
    describe: 'the outbox and the queues to be empty',
  })
}

test('from a tick, every lead is in the table exactly once, the counters are true, and nothing is left in the outbox', async () => {
  const runId = await begin('as it should be')
  await expectEveryLeadOnce(runId)
  await expectEmptyBelt()
})

test('the same while every process is killed in the middle of it, one after the other', async () => {
  const runId = await begin('with kills')
  const saved = async () => {
    const [row] = await house.crm(`select count(*)::int from lead where run = '${runId}'`)
    return Number(Object.values(row ?? {})[0])
  }
  const victims = [
    'rd-station-get-leads',
    'relay of control-plane',
    'relay of rd-station-get-leads',
    'database-query',
    'control-plane',
    'relay of database-query',
    'database-query',
  ]
  for (const [index, victim] of victims.entries()) {
    house.process(victim).kill('SIGKILL')
    // On to the next once the run has moved, so that the kills are spread over it.
    const target = Math.floor((leads * index) / (victims.length + 1))
    await waitFor(async () => (await saved()) >= target, { deadlineMs: 60_000, describe: `${target} leads` })
  }
  await expectEveryLeadOnce(runId)
  await expectEmptyBelt()
})

test('what a relay of ticks has published and not deleted when it is killed is published again and done once', async () => {
  const people = Array.from({ length: 100 }, (_, index) => ({ uuid: String(index), name: 'somebody' }))
  const { id, steps } = await house.api.createWorkflow({
    name: 'of a tick',
    steps: [
      { ...tick, config: { ...tick.config, payload: people }, nextStep: saveLead.name },
      ...workflow('').steps.slice(2),
    ],
  })
  const relay = house.process('relay of cron-job')
  const waiting = `select id from outbox_message where lane = (select id from outbox_lane where name = 'cron-job')`
  relay.kill('SIGSTOP')
  await house.tick(steps[0]?.id ?? '', 'a key')
  const holder = new Client(house.settings.databaseUrl)
  await holder.connect()
  try {
    await holder.query(`begin; ${waiting} for update`)
    relay.kill('SIGCONT')
    // It deletes what the broker has confirmed, and the rows are held.
    const { pid } = await waitFor(async () => deleting.parse(await house.sql(deletingSql))[0])
    relay.kill('SIGKILL')
    // As if its machine had fallen: its session would carry out the delete.
    await house.sql(`select pg_terminate_backend(${pid})`)
    expect(await house.sql(waiting)).toHaveLength(people.length)
  } finally {
    await holder.end()
  }
  await expectEmptyBelt()
  const [run, ...others] = await house.sql(`select id from workflow_run where workflow_id = '${id}'`)
  expect(others).toEqual([])
  const runId = z.object({ id: z.string() }).parse(run).id
  expect(await house.api.runOver(runId)).toMatchObject({
    status: 'succeeded',
    steps: [{}, { succeeded: people.length }],
  })
  const written = await house.crm(`select uuid from lead where run = '${runId}' order by uuid::int`)
  expect(written).toEqual(people.map(({ uuid }) => ({ uuid })))
})

const deleting = z.array(z.object({ pid: z.int() }))
const deletingSql = `
  select pid from pg_stat_activity
  where datname = current_database() and wait_event_type = 'Lock' and query like '%delete from outbox_message%'`

test('a message that is delivered again, twice over, has no second effect', async () => {
  const [job] = await house.sql(
    `select job.id, job.seq from workflow_job job join workflow_step step on step.id = job.step_id
     where step.function_name = 'RdStation.getLeads' and job.status = 'succeeded' limit 1`,
  )
  const before = await house.sql('select count(*)::int from workflow_job')
  const { id, seq } = Object(job)
  for (let times = 0; times < 2; times += 1) {
    await house.broker.publish('RdStation.getLeads', { jobId: id, seq }, { contentType: 'application/json' })
  }
  await expectEmptyBelt()
  expect(await house.sql('select count(*)::int from workflow_job')).toEqual(before)
})
