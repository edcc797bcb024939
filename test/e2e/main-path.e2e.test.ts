import { startTestHouse, type TestHouse, waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, expect, test } from 'vitest'

const leads = 1_500
let house: TestHouse

beforeAll(async () => {
  // No key and no "on conflict": a lead that is written twice is there twice.
  house = await startTestHouse({ leads, cron: 'off', crmSql: 'create table lead (run text, uuid text, name text)' })
})
afterAll(() => house.stop())

const workflow = (name: string) => ({
  name,
  steps: [
    {
      name: 'tick',
      functionName: 'CronJob',
      config: { schedule: '0 0 1 1 *', payload: [{ segmentationId: 1 }] },
      nextStep: 'get leads',
      outputType: 'multiple',
    },
    {
      name: 'get leads',
      functionName: 'RdStation.getLeads',
      config: { segmentationId: '{{ payload.segmentationId }}' },
      nextStep: 'save lead',
      outputType: 'multiple',
    },
    {
      name: 'save lead',
      functionName: 'Database.query',
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
      { name: 'tick', staged: 0, belt: 0, succeeded: 1, failed: 0, cancelled: 0 },
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

const expectEmptyBelt = async (): Promise<void> => {
  const left = `select (select count(*) from outbox_message)::int + (select count(*) from outbox_scheduled)::int as rows`
  await waitFor(async () => JSON.stringify(await house.sql(left)) === '[{"rows":0}]', {
    deadlineMs: 20_000,
    describe: 'the outbox to be empty',
  })
  for (const queue of ['RdStation.getLeads', 'Database.query']) expect(await house.broker.count(queue)).toBe(0)
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
