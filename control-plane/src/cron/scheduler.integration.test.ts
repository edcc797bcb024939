import { fileURLToPath } from 'node:url'
import { cloneDatabase, waitFor } from '@esteira/test/support'
import { afterEach, beforeEach, expect, test } from 'vitest'
import * as z from 'zod'
import { type Api, leadsSteps, openApi } from '../../test/open-api.ts'
import { workflowDocument } from '../workflows/document.ts'
import { type CronEvent, startScheduler } from './scheduler.ts'

const program = fileURLToPath(new URL('../../../workers/cron-job/src/main.ts', import.meta.url))

let database: Awaited<ReturnType<typeof cloneDatabase>>
let api: Api
let events: CronEvent[]
let scheduler: ReturnType<typeof startScheduler> | undefined

beforeEach(async () => {
  database = await cloneDatabase()
  api = await openApi(database.url)
  events = []
})
afterEach(async () => {
  await scheduler?.stop()
  scheduler = undefined
  await api.close()
  await database.drop()
})

const start = () => {
  scheduler = startScheduler({
    orm: api.orm,
    program: {
      path: program,
      env: { DATABASE_URL: database.url, ESTEIRA_LANE: 'cron-job', ESTEIRA_LOG_LEVEL: 'error' },
    },
    graceMs: 20_000,
    observe: (event) => events.push(event),
  })
  return scheduler
}

/** A schedule of which this minute's tick is the only one today, so that no other comes in between. */
const thisMinute = (): string => {
  const now = new Date()
  return `${now.getUTCMinutes()} ${now.getUTCHours()} * * *`
}

const cronStep = (config: Record<string, unknown> = {}) => ({
  ...leadsSteps[0],
  config: { schedule: thisMinute(), payload: [{ segmentationId: 1 }], ...config },
})
const alone = { nextStep: null }

const save = async (change: Record<string, unknown> = {}, steps: unknown[] = [cronStep(), ...leadsSteps.slice(1)]) => {
  const answer = await api.send('POST', '/v1/workflows', { name: 'leads', steps, ...change })
  return workflowDocument.parse(answer.body)
}

/** As if the workflow had been saved a while ago and nobody had been there to tick. */
const saveEarlier = async (id: string, seconds: number): Promise<void> => {
  await api.query(`update workflow set updated_at = now() - $2 * interval '1 second' where id = $1`, [id, seconds])
  await api.query(
    `update workflow_schedule set since = now() - $2 * interval '1 second'
     where step_id in (select id from workflow_step where workflow_id = $1)`,
    [id, seconds],
  )
}

const fired = () => events.filter(({ kind }) => kind === 'tick.fired')
const runs = () => api.query('select trigger, idempotency_key, version, status from workflow_run order by id')
const cronJobs = z.object({
  items: z.array(z.looseObject({ name: z.string(), lastTick: z.looseObject({ runId: z.string() }).nullable() })),
})

test('the tick that was missed while nobody was there is fired once, by the real program', async () => {
  const { id, steps } = await save()
  await saveEarlier(id, 100)
  start()
  await waitFor(() => fired().length > 0, { deadlineMs: 20_000, describe: () => events })
  const [run, ...others] = await runs()
  expect(others).toEqual([])
  expect(run).toEqual({
    trigger: 'cron',
    idempotency_key: expect.stringMatching(new RegExp(`^local/${steps[0]?.id}/20..-..-..T..:..:00.000Z$`)),
    version: 1,
    status: 'running',
  })
  expect(await api.query('select routing_key from outbox_message')).toEqual([{ routing_key: 'RdStation.getLeads' }])
})

test('a tick that is found again after a restart begins no second run', async () => {
  const { id } = await save()
  await saveEarlier(id, 100)
  const first = start()
  await waitFor(() => fired().length === 1, { deadlineMs: 20_000, describe: () => events })
  await first.stop()
  start()
  await waitFor(() => fired().length === 2, { deadlineMs: 20_000, describe: () => events })
  expect(await runs()).toHaveLength(1)
})

test('two schedulers on one database begin one run a tick', async () => {
  const { id } = await save()
  await saveEarlier(id, 100)
  const first = start()
  start()
  await waitFor(() => fired().length === 2, { deadlineMs: 20_000, describe: () => events })
  await first.stop()
  expect(await runs()).toHaveLength(1)
})

test('what is disabled, suspended, deleted or not yet due is left alone', async () => {
  const disabled = await save({ enabled: false })
  const suspended = await save({ name: 'suspended' }, [{ ...cronStep({ suspend: true }), ...alone }])
  const deleted = await save({ name: 'deleted' })
  await api.send('DELETE', `/v1/workflows/${deleted.id}`)
  const later = await save({ name: 'later' }, [{ ...cronStep({ schedule: '0 0 29 2 *' }), ...alone }])
  for (const { id } of [disabled, suspended, deleted, later]) await saveEarlier(id, 100)
  const ticking = await save({ name: 'ticking' })
  await saveEarlier(ticking.id, 100)
  start()
  await waitFor(() => fired().length > 0, { deadlineMs: 20_000, describe: () => events })
  expect(await api.query('select distinct workflow_id from workflow_run')).toEqual([{ workflow_id: ticking.id }])
})

test('a step that is saved while the scheduler runs ticks when it is woken', async () => {
  const running = start()
  const { id } = await save()
  await saveEarlier(id, 100)
  running.wake()
  await waitFor(() => fired().length > 0, { deadlineMs: 20_000, describe: () => events })
})

test('a tick without the items that its step gives out is given up at once, with the failed run as the record', async () => {
  const { id } = await save({}, [])
  // By hand, since the API refuses it.
  await api.query(
    `insert into workflow_step (id, version, workflow_id, position, name, function_name, output_type, config)
     values (gen_random_uuid(), 1, $1, 0, 'no payload', 'CronJob', 'multiple', $2)`,
    [id, JSON.stringify({ schedule: thisMinute() })],
  )
  await saveEarlier(id, 100)
  start()
  await waitFor(() => events.some(({ kind }) => kind === 'tick.given-up'), {
    deadlineMs: 20_000,
    describe: () => events,
  })
  expect(events.find(({ kind }) => kind === 'tick.given-up')).toMatchObject({ tries: 1, code: 14 })
  expect(await runs()).toMatchObject([{ status: 'failed' }])
})

test('a config that nobody could have saved is told once and hinders no other step', async () => {
  const { id } = await save()
  const broken = await save({ name: 'broken' }, [])
  await api.query(
    `insert into workflow_step (id, version, workflow_id, position, name, function_name, config)
     values (gen_random_uuid(), 1, $1, 0, 'by hand', 'CronJob', '{"schedule": "never"}')`,
    [broken.id],
  )
  await saveEarlier(id, 100)
  const running = start()
  await waitFor(() => fired().length > 0, { deadlineMs: 20_000, describe: () => events })
  running.wake()
  expect(events.filter(({ kind }) => kind === 'schedule.unreadable')).toMatchObject([{ step: 'by hand' }])
  const { items } = cronJobs.parse((await api.send('GET', '/v1/cron-jobs')).body)
  expect(items.find(({ name }) => name === 'by hand')).toMatchObject({
    fault: expect.stringContaining('never'),
    nextTick: null,
  })
})

test('a tick that is skipped is a run that the client sees, and the last tick of its step', async () => {
  const { id, steps } = await save({}, [cronStep({ overlap: 'skip' }), ...leadsSteps.slice(1)])
  await api.send('POST', `/v1/workflows/${id}/runs`)
  await saveEarlier(id, 100)
  start()
  await waitFor(() => fired().length > 0, { deadlineMs: 20_000, describe: () => events })
  expect(await runs()).toMatchObject([{ status: 'running' }, { status: 'skipped' }])
  const { items } = cronJobs.parse((await api.send('GET', '/v1/cron-jobs')).body)
  expect(items.find(({ stepId }) => stepId === steps[0]?.id)).toMatchObject({
    overlap: 'skip',
    lastTick: { status: 'skipped' },
  })
})

test('the list of cron steps tells the last tick of each and the next', async () => {
  const { id, steps } = await save({}, [
    cronStep(),
    { ...cronStep(), name: 'yearly', config: { schedule: '@yearly', payload: [] } },
    ...leadsSteps.slice(1),
  ])
  await saveEarlier(id, 100)
  await save({ name: 'disabled', enabled: false })
  await save({ name: 'suspended' }, [{ ...cronStep({ suspend: true, startingDeadlineSeconds: 10 }), ...alone }])
  start()
  await waitFor(() => fired().length > 0, { deadlineMs: 20_000, describe: () => events })
  const { body } = await api.send('GET', '/v1/cron-jobs')
  const { items } = cronJobs.parse(body)
  const of = (stepId: string | undefined) => items.find((item) => item.stepId === stepId)
  expect(items).toHaveLength(4)
  expect(of(steps[0]?.id)).toMatchObject({
    name: 'every hour',
    workflowId: id,
    workflowName: 'leads',
    schedule: steps[0]?.config.schedule,
    timeZone: 'UTC',
    enabled: true,
    suspended: false,
    overlap: 'allow',
    fault: null,
    lastTick: { status: 'running', at: expect.any(String) },
    nextTick: expect.stringMatching(/:00\.000Z$/),
  })
  expect(of(steps[1]?.id)).toMatchObject({
    name: 'yearly',
    lastTick: null,
    nextTick: expect.stringMatching(/-01-01T00:00:00/),
  })
  expect(items.find(({ workflowName }) => workflowName === 'disabled')).toMatchObject({
    enabled: false,
    nextTick: null,
  })
  expect(items.find(({ workflowName }) => workflowName === 'suspended')).toMatchObject({
    enabled: true,
    suspended: true,
    startingDeadlineSeconds: 10,
    nextTick: null,
  })
  const page = await api.send('GET', '/v1/cron-jobs?limit=2')
  expect(page.body).toMatchObject({ items: [{}, {}], nextCursor: expect.any(String) })
})
