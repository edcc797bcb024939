import { once } from 'node:events'
import { randomUUID } from 'node:crypto'
import { holdBackMigrations, listingPackages, runOn, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { startTick, tick } from '../test/start-tick.ts'
import {
  database,
  inTransaction,
  jobsOf,
  manyItems,
  saveManyItems,
  saveWorkflow,
  secondVersionOf,
  useWorkflows,
} from '../test/use-workflows.ts'

useWorkflows()

test('a tick takes the payload from the config of its step and begins a run, with the message for the next step', async () => {
  const { workflowId, stepId } = await saveWorkflow()
  expect(await tick({ ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a' })).toMatchObject({
    code: 0,
    said: expect.stringContaining('"event":"tick.fired"'),
  })
  expect(await jobsOf(workflowId)).toEqual([
    { name: 'tick', status: 'succeeded', payload: { n: 1 }, error: null },
    { name: 'next', status: 'queued', payload: { n: 1 }, error: null },
  ])
  const messages = await runOn(
    database.url,
    `select routing_key, message.payload ->> 'seq' as seq, headers ->> 'traceparent' = job.traceparent as same_trace
     from outbox_message message join workflow_job job on job.id::text = message.payload ->> 'jobId'
     join workflow_run run on run.id = job.run_id where run.workflow_id = '${workflowId}'`,
  )
  expect(messages).toEqual([{ routing_key: 'Test.next', seq: '1', same_trace: true }])
})

test.each([
  ['single', false, { n: 1 }, { n: 1 }],
  ['multiple', false, [1, 2], [1, 2]],
  ['multiple', true, [], null],
] as const)('a tick of %s whose step has a next one, %s, ends its run with the payload %j', async (...given) => {
  const [outputType, hasNext, payload, output] = given
  const { workflowId, stepId } = await saveWorkflow({ outputType, hasNext, config: { schedule: '* * * * *', payload } })
  expect(await tick({ ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a' })).toMatchObject({ code: 0 })
  const runs = await runOn(
    database.url,
    `select run.status, job.status as job, job.output
     from workflow_run run join workflow_job job on job.run_id = run.id where run.workflow_id = '${workflowId}'`,
  )
  expect(runs).toEqual([{ status: 'succeeded', job: 'succeeded', output }])
})

test('a payload goes on as it stands, with what looks like an expression or a secret in it', async () => {
  const payload = { when: '{{ $now() }}', token: { $secret: 'crm-token' } }
  const { workflowId, stepId } = await saveWorkflow({ config: { schedule: '* * * * *', payload } })
  const env = { ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a', ESTEIRA_SECRET_CRM_TOKEN: 'of-the-crm' }
  expect(await tick(env)).toMatchObject({ code: 0 })
  expect(await jobsOf(workflowId)).toMatchObject([{ payload }, { payload }])
})

test('a second pod of the same tick changes nothing, not even at the same moment', async () => {
  const { workflowId, stepId } = await saveWorkflow()
  const pods = await Promise.all([1, 2].map(() => tick({ ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'same' })))
  expect(pods.map(({ code }) => code)).toEqual([0, 0])
  expect(pods.filter(({ said }) => said.includes('"event":"tick.seen"'))).toHaveLength(1)
  expect(await jobsOf(workflowId)).toHaveLength(2)
  await tick({ ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'other' })
  expect(await jobsOf(workflowId)).toHaveLength(4)
})

test('a tick that must not begin beside the run before is a skipped run, and told', async () => {
  const { workflowId, stepId } = await saveWorkflow({ config: { schedule: '* * * * *', overlap: 'skip' } })
  const first = { ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'first' }
  expect(await tick(first)).toMatchObject({ code: 0, said: expect.stringContaining('"event":"tick.fired"') })
  expect(await tick({ ...first, ESTEIRA_TICK_KEY: 'second' })).toMatchObject({
    code: 0,
    said: expect.stringContaining('"event":"tick.skipped"'),
  })
  const runs = await runOn(
    database.url,
    `select status from workflow_run where workflow_id = '${workflowId}' order by id`,
  )
  expect(runs).toEqual([{ status: 'running' }, { status: 'skipped' }])
})

test('a tick of a minute before its schedule held begins no run and is told, the next one and one by hand begin theirs', async () => {
  const { workflowId, stepId } = await saveWorkflow()
  const minute = Math.floor(Date.now() / 60_000)
  const env = { ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_SINCE: new Date(minute * 60_000 + 1).toISOString() }
  expect(await tick({ ...env, ESTEIRA_TICK_KEY: `job/leads-${minute}` })).toMatchObject({
    code: 0,
    said: expect.stringContaining('"event":"tick.before-schedule"'),
  })
  expect(await jobsOf(workflowId)).toEqual([])
  for (const job of [`leads-${minute + 1}`, 'leads-by-hand']) {
    expect(await tick({ ...env, ESTEIRA_TICK_KEY: `job/${job}` })).toMatchObject({
      code: 0,
      said: expect.stringContaining('"event":"tick.fired"'),
    })
  }
  expect(await jobsOf(workflowId)).toHaveLength(4)
}, 90_000)

test('a nightly tick whose time the clock shows twice begins its run the first time alone', async () => {
  const { workflowId, stepId } = await saveWorkflow()
  const schedule = { ESTEIRA_TICK_SCHEDULE: '30 1 * * *', ESTEIRA_TICK_TIME_ZONE: 'America/New_York' }
  const said = async (time: string) => {
    const key = { ESTEIRA_TICK_KEY: `job/leads-${Date.parse(time) / 60_000}` }
    return tick({ ESTEIRA_STEP_ID: stepId, ...schedule, ...key })
  }
  const fired = { code: 0, said: expect.stringContaining('"event":"tick.fired"') }
  expect(await said('2026-11-01T05:30Z')).toMatchObject(fired)
  expect(await said('2026-11-01T06:30Z')).toMatchObject({
    code: 0,
    said: expect.stringContaining('"event":"tick.repeated"'),
  })
  expect(await jobsOf(workflowId)).toHaveLength(2)
}, 90_000)

test('a key that every tick would have is refused, so that none is lost', async () => {
  const { stepId } = await saveWorkflow()
  expect(await tick({ ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'job/$(JOB_NAME)' })).toMatchObject({
    code: 2,
    said: expect.stringMatching(
      /^ESTEIRA_TICK_KEY .*: expected a key that no other tick has, such as job.leads-29917080, /,
    ),
  })
})

test('a payload that is no array fails the run of a multiple step, which is recorded and told', async () => {
  const { workflowId, stepId } = await saveWorkflow({ outputType: 'multiple' })
  expect(await tick({ ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a' })).toMatchObject({
    code: 14,
    said: expect.stringContaining('its payload must be an array, but an object came'),
  })
  expect(await jobsOf(workflowId)).toEqual([
    { name: 'tick', status: 'failed', payload: { n: 1 }, error: 'output_invalid' },
  ])
  const runs = await runOn(database.url, `select status from workflow_run where workflow_id = '${workflowId}'`)
  expect(runs).toEqual([{ status: 'failed' }])
})

test('a payload over the limit begins no run and is told', async () => {
  const { workflowId, stepId } = await saveWorkflow({ config: { schedule: '* * * * *', payload: 'a'.repeat(1_023) } })
  const env = { ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a', ESTEIRA_MAX_PAYLOAD_BYTES: '1024' }
  expect(await tick(env)).toMatchObject({
    code: 16,
    said: expect.stringContaining('the first payload has 1,025 bytes as JSON, and 1,024 are allowed'),
  })
  expect(await jobsOf(workflowId)).toEqual([])
  expect(await tick({ ...env, ESTEIRA_MAX_PAYLOAD_BYTES: '1025' })).toMatchObject({ code: 0 })
})

/** What is there of a workflow's runs: its jobs, which of them are on the belt, what its counters say, and messages. */
const countsOf = async (workflowId: string) => {
  const of = `join workflow_run run on run.id = one.run_id where run.workflow_id = '${workflowId}'`
  const [counts] = await runOn(
    database.url,
    `select (select count(*) from workflow_run where workflow_id = '${workflowId}')::int as runs,
            (select count(*) from workflow_job one ${of})::int as jobs,
            (select count(*) from workflow_job one ${of} and one.status = 'queued')::int as queued,
            (select count(*) from workflow_waiting one ${of})::int as waiting,
            (select sum(one.staged + one.belt) from workflow_run_step one ${of})::int as open,
            (select count(*) from outbox_message where routing_key = 'Test.next')::int as messages`,
  )
  return counts
}

test('a hundred thousand items in one tick are as many jobs, in a heap of 96 MiB', async () => {
  await runOn(database.url, 'delete from outbox_message')
  const { workflowId, stepId } = await saveManyItems()
  const env = { ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a', NODE_OPTIONS: '--max-old-space-size=96' }
  expect(await tick(env)).toMatchObject({ code: 0, said: expect.stringContaining('"event":"tick.fired"') })
  const all = { jobs: manyItems + 1, queued: 2_000, waiting: manyItems - 2_000, open: manyItems, messages: 2_000 }
  expect(await countsOf(workflowId)).toEqual({ runs: 1, ...all })
  const items = await runOn(
    database.url,
    `select count(distinct job.item_index)::int as places, min(job.item_index) as first, max(job.item_index) as last,
            bool_and((job.payload ->> 'segmentationId')::int = job.item_index) as in_order, max(parent.emitted) as emitted,
            bool_or(parent.payload is not null) as kept_twice
     from workflow_job job join workflow_job parent on parent.id = job.parent_id
     join workflow_run run on run.id = job.run_id where run.workflow_id = '${workflowId}'`,
  )
  expect(items).toEqual([
    { places: manyItems, first: 0, last: manyItems - 1, in_order: true, emitted: manyItems, kept_twice: false },
  ])
}, 120_000)

test('a tick that is killed among a hundred thousand items leaves nothing, and its next try all of them', async () => {
  await runOn(database.url, 'delete from outbox_message')
  const { workflowId, stepId } = await saveManyItems()
  const env = { ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a' }
  const isInserting = async () =>
    (
      await runOn(
        database.url,
        `select from pg_stat_activity where datname = current_database() and application_name = 'cron-job'
         and query like '%insert into workflow_job%json_to_recordset%'`,
      )
    ).length > 0
  const first = startTick(env)
  await waitFor(isInserting, { deadlineMs: 60_000, describe: 'the program at its items' })
  first.program.kill('SIGKILL')
  await first.ended
  expect(await countsOf(workflowId)).toMatchObject({ runs: 0, jobs: 0, waiting: 0, messages: 0 })
  expect(await tick(env)).toMatchObject({ code: 0, said: expect.stringContaining('"event":"tick.fired"') })
  expect(await countsOf(workflowId)).toMatchObject({ runs: 1, jobs: manyItems + 1, open: manyItems, messages: 2_000 })
}, 180_000)

test('of a list that is given out each item is held to the limit, and of a list that is passed on the whole', async () => {
  const config = { schedule: '* * * * *', payload: ['a'.repeat(600), 'b'.repeat(600)] }
  const limit = { ESTEIRA_TICK_KEY: 'a', ESTEIRA_MAX_PAYLOAD_BYTES: '1024' }
  const many = await saveWorkflow({ outputType: 'multiple', config })
  expect(await tick({ ...limit, ESTEIRA_STEP_ID: many.stepId })).toMatchObject({ code: 0 })
  expect(await jobsOf(many.workflowId)).toHaveLength(3)
  const whole = await saveWorkflow({ outputType: 'single', config })
  expect(await tick({ ...limit, ESTEIRA_STEP_ID: whole.stepId })).toMatchObject({ code: 16 })
  const long = { ...config, payload: ['a', 'b'.repeat(1_100)] }
  const large = await saveWorkflow({ outputType: 'multiple', config: long })
  expect(await tick({ ...limit, ESTEIRA_STEP_ID: large.stepId })).toMatchObject({
    code: 16,
    said: expect.stringContaining('the first payload has an item, 2 of 2, that has 1,102 bytes as JSON'),
  })
  expect(await jobsOf(large.workflowId)).toEqual([])
})

test('a workflow that is disabled between the reading of its step and the run begins none', async () => {
  const { workflowId, stepId } = await saveWorkflow()
  const { ended } = await inTransaction(async (run) => {
    await run(`update workflow set enabled = false where id = '${workflowId}'`)
    const fired = tick({ ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'between' })
    await waitFor(async () => (await runOn(database.url, waitingSql)).length > 0, { deadlineMs: 25_000 })
    return { ended: fired }
  })
  expect(await ended).toMatchObject({ code: 13, said: expect.stringContaining('is disabled') })
  expect(await jobsOf(workflowId)).toEqual([])
})

test('a tick whose workflow somebody holds locked waits for that, says so, and begins its run once', async () => {
  const { workflowId, stepId } = await saveWorkflow()
  const started = await inTransaction(async (run) => {
    await run(`select from workflow where id = '${workflowId}' for update`)
    const { program, ended } = startTick({ ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'held' })
    const [line] = await once(program.stdout, 'data')
    expect(String(line)).toContain(`of Postgres holds workflow ${workflowId} locked`)
    expect(await jobsOf(workflowId)).toEqual([])
    return { ended }
  })
  expect(await started.ended).toMatchObject({ code: 0, said: expect.stringContaining('"event":"tick.fired"') })
  expect(await jobsOf(workflowId)).toHaveLength(2)
})

const waitingSql = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`

test('an unknown step, a deleted one, a disabled workflow and a step that is no CronJob have codes of their own', async () => {
  const deleted = await saveWorkflow()
  await runOn(database.url, `update workflow set version = 2 where id = '${deleted.workflowId}'`)
  const gone = await saveWorkflow()
  await runOn(database.url, `update workflow set deleted_at = now() where id = '${gone.workflowId}'`)
  const disabled = await saveWorkflow({ enabled: false })
  const other = await saveWorkflow({ functionName: 'Test.other' })
  const unfit = await saveWorkflow({ config: { payload: 1 } })
  const cases = [
    [randomUUID(), 11, 'there is no step'],
    [deleted.stepId, 12, 'is no longer part of workflow'],
    [gone.stepId, 12, 'is no longer part of workflow'],
    [disabled.stepId, 13, 'is disabled'],
    [other.stepId, 15, 'is a Test.other: expected a CronJob'],
    [unfit.stepId, 15, 'config.schedule: is missing, must be a string'],
  ] as const
  const ended = await Promise.all(cases.map(([stepId]) => tick({ ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a' })))
  expect(ended).toMatchObject(cases.map(([, code, said]) => ({ code, said: expect.stringContaining(said) })))
  for (const { workflowId } of [deleted, gone, disabled, other, unfit]) expect(await jobsOf(workflowId)).toEqual([])
}, 90_000)

test.each([
  ['disabled', 'enabled = false'],
  ['deleted', 'deleted_at = now()'],
  ['another version', 'version = 2'],
])('a second pod of a tick that has begun its run says so, though its workflow is %s by then', async (_, change) => {
  const { workflowId, stepId } = await saveWorkflow()
  const again = () => tick({ ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'same' })
  expect(await again()).toMatchObject({ code: 0 })
  await runOn(database.url, `update workflow set ${change} where id = '${workflowId}'`)
  expect(await again()).toMatchObject({ code: 0, said: expect.stringContaining('"event":"tick.seen"') })
})

test('a tick begins on the version that the workflow has when it fires', async () => {
  const { workflowId, stepId } = await saveWorkflow()
  await runOn(database.url, ...secondVersionOf(workflowId))
  expect(await tick({ ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a' })).toMatchObject({ code: 0 })
  expect(await jobsOf(workflowId)).toMatchObject([
    { name: 'tick of version 2', payload: 'new' },
    { name: 'next of version 2', payload: 'new' },
  ])
})

test('a tick is not lost to a version that is saved while it looks for its step', async () => {
  const { workflowId, stepId } = await saveWorkflow()
  const { ended } = await inTransaction(async (run) => {
    await run('lock table workflow in access exclusive mode')
    const started = startTick({ ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a' })
    await waitFor(isWaitingForLock, { deadlineMs: 60_000, describe: 'the program at the workflow' })
    for (const sql of secondVersionOf(workflowId)) await run(sql)
    return started
  })
  expect(await ended).toMatchObject({ code: 0, said: expect.stringContaining('"event":"tick.fired"') })
  expect(await jobsOf(workflowId)).toMatchObject([{ status: 'succeeded' }, { status: 'queued' }])
}, 90_000)

const isWaitingForLock = async (): Promise<boolean> =>
  (
    await runOn(
      database.url,
      `select from pg_stat_activity where datname = current_database() and application_name = 'cron-job'
       and wait_event_type = 'Lock'`,
    )
  ).length > 0

test('a tick that is asked to stop before it could fire does not pass for one that fired', async () => {
  const { program, ended } = startTick({
    DATABASE_URL: 'postgres://app:s3cret@127.0.0.1:9/app',
    ESTEIRA_STEP_ID: randomUUID(),
    ESTEIRA_TICK_KEY: 'a',
  })
  await once(program.stdout, 'data')
  program.kill('SIGTERM')
  expect(await ended).toMatchObject({
    code: 1,
    said: expect.stringContaining('"address":"postgres://app@127.0.0.1:9/app"'),
  })
})

test('a tick of a version whose migration is not applied yet waits for it, and begins its run then', async () => {
  const { workflowId, stepId } = await saveWorkflow()
  const migrate = await holdBackMigrations(database.url, '0013_cron_job')
  onTestFinished(migrate)
  const { program, ended } = startTick({ ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a' })
  const [line] = await once(program.stdout, 'data')
  expect(String(line)).toContain('the database is at migration 0013_cron_job, this version needs')
  expect(await jobsOf(workflowId)).toEqual([])
  await migrate()
  expect(await ended).toMatchObject({ code: 0, said: expect.stringContaining('"event":"tick.fired"') })
  expect(await jobsOf(workflowId)).toHaveLength(2)
})

test('a tick on sessions that lost what they are opened with waits until its database has that by itself', async () => {
  const { workflowId, stepId } = await saveWorkflow()
  const name = new URL(database.url).pathname.slice(1)
  await runOn(database.url, `alter database ${name} set datestyle = german`)
  const setRight = async () => void (await runOn(database.url, `alter database ${name} reset datestyle`))
  onTestFinished(setRight)
  const { program, ended } = startTick({
    DATABASE_URL: `${database.url}?options=${encodeURIComponent('-c work_mem=4MB')}`,
    ESTEIRA_STEP_ID: stepId,
    ESTEIRA_TICK_KEY: 'a',
  })
  const [line] = await once(program.stdout, 'data')
  expect(String(line)).toContain('datestyle is \\"German, DMY\\", not \\"ISO\\"')
  await setRight()
  expect(await ended).toMatchObject({ code: 0, said: expect.stringContaining('"event":"tick.fired"') })
  expect(await jobsOf(workflowId)).toHaveLength(2)
}, 60_000)

test('a database that will never take the tick ends it at once, with why', async () => {
  const nowhere = new URL(database.url)
  nowhere.pathname = '/nowhere'
  const env = { DATABASE_URL: nowhere.href, ESTEIRA_STEP_ID: randomUUID(), ESTEIRA_TICK_KEY: 'a' }
  expect(await tick(env)).toEqual({ code: 1, said: expect.stringContaining('database \\"nowhere\\" does not exist') })
})

test('a variable that is missing or bad is told, with the code of a bad environment', async () => {
  expect(await tick({ ESTEIRA_STEP_ID: 'seven', ESTEIRA_TICK_KEY: 'a' })).toMatchObject({
    code: 2,
    said: expect.stringMatching(/^ESTEIRA_STEP_ID .*: expected a UUID, "seven" is not$/),
  })
})

test('a tick loads what writes a run, and nothing for expressions, RabbitMQ or traces: each tick pays for it', async () => {
  const { stepId } = await saveWorkflow()
  const { code, said } = await tick({ ESTEIRA_STEP_ID: stepId, ESTEIRA_TICK_KEY: 'a', ...listingPackages })
  expect(code).toBe(0)
  expect(said).toContain('"@mikro-orm/postgresql"')
  for (const name of ['jsonata', 'amqplib', 'rascal', '@opentelemetry/sdk-node'])
    expect(said).not.toContain(`"${name}"`)
})
