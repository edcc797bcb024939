import { startTestHouse, type TestHouse, waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const leads = 30
let house: TestHouse

beforeAll(async () => {
  house = await startTestHouse({
    leads,
    cron: 'off',
    crmSql: `
      create table lead (uuid text, email text, origin text);
      create table archive (email text);
      create table customer (id int primary key, name text);
      insert into customer values (1, 'Ana'), (2, 'Bia'), (3, 'Caio')`,
  })
})
afterAll(() => house.stop())

/** A workflow that begins with a CronJob whose schedule does not come: its runs are started by hand. */
const workflowOf = (name: string, payload: unknown, outputType: 'single' | 'multiple' | null, ...steps: Step[]) =>
  house.api.createWorkflow({
    name,
    steps: [
      {
        name: 'start',
        functionName: 'CronJob',
        config: { schedule: '0 0 1 1 *', payload },
        nextStep: steps[0]?.name ?? null,
        outputType,
      },
      ...steps,
    ],
  })

type Step = {
  name: string
  functionName: string
  config: object
  nextStep?: string
  outputType?: 'single' | 'multiple' | null
}

const query = (
  name: string,
  sql: string,
  rest: Partial<Step> & { params?: unknown[]; confirm?: string } = {},
): Step => {
  const { params = [], confirm = 'durable', ...step } = rest
  return { name, functionName: 'Database.query', config: { connection: 'crm', sql, params, confirm }, ...step }
}

const succeed = async (workflow: Awaited<ReturnType<typeof workflowOf>>) => {
  const { id } = await house.api.startRun(workflow)
  const run = await house.api.runOver(id)
  expect(run).toMatchObject({ status: 'succeeded' })
  return run
}

const done = (run: Awaited<ReturnType<typeof succeed>>) =>
  Object.fromEntries(run.steps.map(({ name, succeeded }) => [name, succeeded]))

describe('CronJob', () => {
  test('if outputType is multiple the payload must be an array, and each item of it is a task in the queue of the next step', async () => {
    const workflow = await workflowOf('items', [{ n: 1 }, { n: 2 }, { n: 3 }], 'multiple', query('see', 'select 1'))
    const run = await succeed(workflow)
    expect(done(run)).toEqual({ start: 1, see: 3 })
    const jobs = await house.api.jobs(workflow, run.id, 'see')
    expect(new Set(jobs.map(({ payload }) => JSON.stringify(payload)))).toEqual(
      new Set(['{"n":1}', '{"n":2}', '{"n":3}']),
    )
  })

  test('with anything else than an array, multiple is refused when it is saved', async () => {
    await expect(workflowOf('no items', { n: 1 }, 'multiple')).rejects.toThrow(
      /422 .*; \/steps\/0\/config\/payload: must be an array, an object came/,
    )
  })

  test('and is a clear failure of a run that brings it', async () => {
    const workflow = await workflowOf('items of the run', [], 'multiple', query('see', 'select 1'))
    const { id } = await house.api.startRun(workflow, { payload: { n: 1 } })
    const run = await house.api.runOver(id)
    expect(run.status).toBe('failed')
    const [job] = await house.api.jobs(workflow, run.id, 'start')
    expect(job).toMatchObject({ status: 'failed', error: { code: 'output_invalid' } })
    expect(job?.error?.message).toBe(
      'step "start" has outputType "multiple": its payload must be an array, but an object came',
    )
    expect(await house.api.jobs(workflow, run.id, 'see')).toEqual([])
  })
})

describe('RdStation.getLeads', () => {
  const getLeads = (outputType: 'single' | 'multiple', next: string): Step => ({
    name: 'get leads',
    functionName: 'RdStation.getLeads',
    config: { segmentationId: '{{ payload.segmentation }}', pageSize: 10 },
    nextStep: next,
    outputType,
  })

  test('it consumes an API based on the data of the payload, and with multiple each lead is a task of the next step', async () => {
    const workflow = await workflowOf(
      'a task a lead',
      { segmentation: 2 },
      'single',
      getLeads('multiple', 'save'),
      query('save', `insert into lead (uuid, email, origin) values ($1, $2, 'multiple')`, {
        params: ['{{ payload.uuid }}', '{{ payload.email }}'],
      }),
    )
    const run = await succeed(workflow)
    expect(done(run)).toEqual({ start: 1, 'get leads': 1, save: leads })
    expect(
      await house.crm(
        `select count(*)::int, count(distinct uuid)::int as different from lead where origin = 'multiple'`,
      ),
    ).toEqual([{ count: leads, different: leads }])
    const asked = await (await fetch(`${house.settings.rdStation.baseUrl}/_control`)).text()
    expect(asked).toContain('/platform/segmentations/2/contacts')
    expect(asked).not.toContain('/platform/segmentations/1/contacts')
  })

  test('with single the whole result is one task', async () => {
    const workflow = await workflowOf(
      'one task with all',
      { segmentation: 1 },
      'single',
      getLeads('single', 'save all'),
      query(
        'save all',
        `insert into lead (uuid, origin) select value ->> 'uuid', 'single' from jsonb_array_elements($1::jsonb)`,
        {
          params: ['{{ $string(payload) }}'],
        },
      ),
    )
    const run = await succeed(workflow)
    expect(done(run)).toEqual({ start: 1, 'get leads': 1, 'save all': 1 })
    expect(await house.crm(`select count(*)::int from lead where origin = 'single'`)).toEqual([{ count: leads }])
  })
})

describe('each instance of a service reads the queue of its name', () => {
  test('and several instances share its tasks, each task once', async () => {
    await house.startSecond('database-query')
    const workflow = await workflowOf(
      'shared',
      Array.from({ length: 400 }, (_, n) => ({ n })),
      'multiple',
      query('slowly', `insert into archive select 'shared-' || $1 from pg_sleep(0.01)`, {
        params: ['{{ payload.n }}'],
      }),
    )
    const run = await succeed(workflow)
    expect(done(run)).toEqual({ start: 1, slowly: 400 })
    const rows = await house.sql(
      `select worker, count(*)::int from workflow_job where run_id = '${run.id}' and worker like 'database-query%' group by 1`,
    )
    expect(rows).toHaveLength(2)
    expect(
      await house.crm(
        `select count(*)::int, count(distinct email)::int as different from archive where email like 'shared-%'`,
      ),
    ).toEqual([{ count: 400, different: 400 }])
  })
})

describe('Database.query', () => {
  test('an insert without a return and without a next step ends the workflow', async () => {
    const workflow = await workflowOf(
      'insert and end',
      { email: 'end@example.com' },
      'single',
      query('insert', 'insert into archive values ($1)', { params: ['{{ payload.email }}'] }),
    )
    const run = await succeed(workflow)
    expect(done(run)).toEqual({ start: 1, insert: 1 })
    expect(await house.crm(`select * from archive where email = 'end@example.com'`)).toHaveLength(1)
    const [job] = await house.api.jobs(workflow, run.id, 'insert')
    expect(job?.output).toBeNull()
  })

  test('or it passes its payload on to the next step', async () => {
    const workflow = await workflowOf(
      'insert and pass on',
      { email: 'on@example.com' },
      null,
      query('insert', 'insert into archive values ($1)', { params: ['{{ payload.email }}'], nextStep: 'again' }),
      query('again', `insert into archive values ('again ' || $1)`, { params: ['{{ payload.email }}'] }),
    )
    const run = await succeed(workflow)
    const [job] = await house.api.jobs(workflow, run.id, 'again')
    expect(job?.payload).toEqual({ email: 'on@example.com' })
    expect(await house.crm(`select * from archive where email like '%on@example.com'`)).toHaveLength(2)
  })

  test('it may wait for the confirmation of the insert: the job is over when the row is there', async () => {
    const workflow = await workflowOf(
      'confirmed',
      {},
      'single',
      query('insert', `insert into archive select 'confirmed' from pg_sleep(1)`),
    )
    const run = await succeed(workflow)
    expect(await house.crm(`select * from archive where email = 'confirmed'`)).toHaveLength(1)
    expect(done(run)).toEqual({ start: 1, insert: 1 })
  })

  test('or not wait for it: the job is over before the row is there, which comes all the same', async () => {
    const workflow = await workflowOf(
      'not confirmed',
      {},
      'single',
      query('insert', `insert into archive select 'not confirmed' from pg_sleep(3)`, { confirm: 'none' }),
    )
    await succeed(workflow)
    const rows = () => house.crm(`select * from archive where email = 'not confirmed'`)
    expect(await rows()).toHaveLength(0)
    await waitFor(async () => (await rows()).length === 1, { deadlineMs: 10_000, describe: 'the row' })
  })

  test('it may read, and with multiple each row is a task of the next step', async () => {
    const workflow = await workflowOf(
      'rows one by one',
      { least: 2 },
      'single',
      query('read', 'select id, name from customer where id >= $1 order by id', {
        params: ['{{ payload.least }}'],
        nextStep: 'see',
        outputType: 'multiple',
      }),
      query('see', 'select 1'),
    )
    const run = await succeed(workflow)
    const jobs = await house.api.jobs(workflow, run.id, 'see')
    expect(new Set(jobs.map(({ payload }) => JSON.stringify(payload)))).toEqual(
      new Set(['{"id":2,"name":"Bia"}', '{"id":3,"name":"Caio"}']),
    )
  })

  test('with single the whole result is one task', async () => {
    const workflow = await workflowOf(
      'rows together',
      {},
      'single',
      query('read', 'select id from customer order by id', { nextStep: 'see', outputType: 'single' }),
      query('see', 'select 1'),
    )
    const run = await succeed(workflow)
    const jobs = await house.api.jobs(workflow, run.id, 'see')
    expect(jobs.map(({ payload }) => payload)).toEqual([[{ id: 1 }, { id: 2 }, { id: 3 }]])
  })

  test('a chain of insert, select with multiple and insert runs to its end', async () => {
    const workflow = await workflowOf(
      'a chain',
      { from: 100 },
      'single',
      query('insert', `insert into customer select $1::int + n, 'chain' from generate_series(1, 5) n`, {
        params: ['{{ payload.from }}'],
        nextStep: 'select',
      }),
      query('select', `select id from customer where name = 'chain' and id > $1`, {
        params: ['{{ payload.from }}'],
        nextStep: 'copy',
        outputType: 'multiple',
      }),
      query('copy', `insert into archive values ('chain ' || $1::int)`, { params: ['{{ payload.id }}'] }),
    )
    const run = await succeed(workflow)
    expect(done(run)).toEqual({ start: 1, insert: 1, select: 1, copy: 5 })
    expect(await house.crm(`select * from archive where email like 'chain %'`)).toHaveLength(5)
  })

  test('outputType null: nothing comes out, and a next step gets what came in', async () => {
    const workflow = await workflowOf(
      'nothing out',
      { keep: 'me' },
      null,
      query('read', 'select id from customer', { nextStep: 'see', outputType: null }),
      query('see', 'select id from customer', { outputType: null }),
    )
    const run = await succeed(workflow)
    const [seen] = await house.api.jobs(workflow, run.id, 'see')
    expect(seen).toMatchObject({ payload: { keep: 'me' }, output: null })
  })

  test('the rows of an insert that is not waited for cannot be passed on, which is refused when it is saved', async () => {
    const insert = { confirm: 'none', nextStep: 'see', outputType: 'multiple' } as const
    const saved = workflowOf(
      'unconfirmed rows',
      {},
      'single',
      query('insert', `insert into archive values ('x') returning *`, insert),
      query('see', 'select 1'),
    )
    await expect(saved).rejects.toThrow(
      /422 .*; \/steps\/1\/outputType: must be null, "multiple" came: with config\.confirm "none" there is no result/,
    )
  })
})
