import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { hold } from '../../test/hold.ts'
import { leadsSteps, openApi, statusesOf } from '../../test/open-api.ts'
import { create, failAsWorkersDo, jobsOf, readRun, runOf } from '../../test/runs.ts'
import { api, database, useApi } from '../../test/use-api.ts'
import { readCronSteps } from '../cron/read-cron-steps.ts'

useApi()
beforeEach(() => api.query('truncate workflow, outbox_message cascade'))

const leadsWith = (payload: unknown) => [
  { ...leadsSteps[0], config: { ...leadsSteps[0]?.config, payload } },
  ...leadsSteps.slice(1),
]

test('a run begins at the first step, with its job on the belt and one message for it', async () => {
  const { id, runs } = await create(leadsSteps.slice(1))
  const answer = await api.send('POST', runs, { payload: { segmentationId: 7 } })
  const run = runOf(answer)
  expect(answer.status).toBe(201)
  expect(answer.headers.get('location')).toBe(`/v1/runs/${run.id}`)
  expect(run).toMatchObject({ workflowId: id, version: 1, trigger: 'manual', status: 'running', finishedAt: null })
  expect((await readRun(run.id)).steps).toMatchObject([
    {
      name: 'get leads',
      functionName: 'RdStation.getLeads',
      staged: 0,
      belt: 1,
      succeeded: 0,
      failed: 0,
      cancelled: 0,
    },
    { name: 'insert', functionName: 'Database.query', belt: 0 },
  ])
  const [job] = await jobsOf(run.id)
  expect(job).toMatchObject({ status: 'queued', payload: { segmentationId: 7 } })
  expect(await api.query('select lane, routing_key, payload from outbox_message')).toEqual([
    { lane: api.lane, routing_key: 'RdStation.getLeads', payload: { jobId: job?.id, seq: 1 } },
  ])
})

test('a CronJob that is run by hand brings its own payload, unless another is given', async () => {
  const { runs } = await create(leadsSteps)
  const own = await readRun(runOf(await api.send('POST', runs)).id)
  expect(own.steps.map(({ belt, succeeded }) => [belt, succeeded])).toEqual([
    [0, 1],
    [1, 0],
    [0, 0],
  ])
  const given = runOf(await api.send('POST', runs, { payload: [{ segmentationId: 2 }, { segmentationId: 3 }] }))
  const [, get] = (await readRun(given.id)).steps
  expect(get?.belt).toBe(2)
  const payloads = (await jobsOf(given.id, `&stepId=${get?.stepId}`)).map(({ payload }) => payload)
  expect(payloads).toEqual([{ segmentationId: 3 }, { segmentationId: 2 }])
})

test('a payload of null is a payload', async () => {
  const { runs } = await create([{ ...leadsSteps[0], nextStep: null, outputType: 'single' }])
  const run = runOf(await api.send('POST', runs, { payload: null }))
  expect(await jobsOf(run.id)).toMatchObject([{ payload: null, status: 'succeeded' }])
})

test('a payload that is no array where items are due begins a run that has failed, with its job', async () => {
  const { runs } = await create(leadsSteps)
  const answer = await api.send('POST', runs, { payload: { segmentationId: 7 } })
  expect(answer.status).toBe(201)
  const run = await readRun(runOf(answer).id)
  expect(run.status).toBe('failed')
  expect((await api.send('GET', `/v1/jobs?runId=${run.id}&status=failed`)).body).toMatchObject({
    items: [{ error: { code: 'output_invalid', message: expect.stringContaining('an object came') } }],
  })
})

test('a payload over the limit starts nothing and says how large it is, one at the limit starts a run', async () => {
  const { id, runs } = await create(leadsSteps.slice(1))
  // The quotes count.
  const largest = 'a'.repeat(1024 * 1024 - 2)
  expect(await api.send('POST', runs, { payload: `${largest}a` })).toMatchObject({
    status: 413,
    body: {
      code: 'payload_too_large',
      detail: expect.stringMatching(
        /^No run was started: the first payload has 1,048,577 bytes as JSON, and 1,048,576 /,
      ),
    },
  })
  expect(await api.query('select 1 from workflow_run where workflow_id = $1', [id])).toEqual([])
  expect((await api.send('POST', runs, { payload: largest })).status).toBe(201)
})

test('a CronJob whose own payload is over the limit is refused when it is saved', async () => {
  const steps = leadsWith(['a'.repeat(1024 * 1024)])
  const fault = (message: RegExp) => ({ pointer: '/config/payload', message: expect.stringMatching(message) })
  const ofItem = /^has an item, 1 of 1, that has 1,048,578 bytes as JSON/
  const ofWorkflow = [{ ...fault(ofItem), pointer: '/steps/0/config/payload' }]
  expect(await api.send('POST', '/v1/workflows', { name: 'leads', steps })).toMatchObject({
    status: 422,
    body: { code: 'body_invalid', errors: ofWorkflow },
  })
  // With a fault of its form besides.
  expect(await api.send('POST', '/v1/workflows', { name: '', steps })).toMatchObject({
    status: 422,
    body: { errors: expect.arrayContaining(ofWorkflow) },
  })
  const { id } = await create(leadsSteps.slice(1))
  const added = await api.send('POST', `/v1/workflows/${id}/steps`, { ...steps[0], nextStep: null })
  expect(added).toMatchObject({ status: 422, body: { errors: [fault(/^has 1,048,580 bytes as JSON/)] } })
})

test('a CronJob of a hundred thousand items is saved, read and started by hand, and stays out of what looks at it often', async () => {
  const payload = Array.from({ length: 100_000 }, (_, segmentationId) => ({ segmentationId, name: 'of the campaign' }))
  const { id, runs } = await create(leadsWith(payload))
  expect((await api.send('GET', `/v1/workflows/${id}`)).body).toMatchObject({
    steps: [{ config: { payload: expect.objectContaining({ length: 100_000 }) } }, {}, {}],
  })
  const { steps } = await readCronSteps(api.orm.em.fork())
  expect(steps.filter(({ workflowId }) => workflowId === id)).toMatchObject([{ config: { schedule: '0 * * * *' } }])
  expect(JSON.stringify(steps)).not.toContain('of the campaign')
  const run = runOf(await api.send('POST', runs))
  expect(await readRun(run.id)).toMatchObject({ steps: [{ succeeded: 1 }, { staged: 98_000, belt: 2_000 }, {}] })
  const newest = async (query: string) => (await api.send('GET', `/v1/jobs?runId=${run.id}&limit=1${query}`)).body
  expect(await newest('')).toMatchObject({ items: [{ payload: payload.at(-1), status: 'staged' }] })
  expect(await newest('&status=succeeded')).toMatchObject({ items: [{ payload: null }] })
  await api.query('truncate workflow_job, workflow_waiting, outbox_message cascade')
}, 180_000)

test('one that is over a limit that was lowered since is not started by hand', async () => {
  const { runs } = await create(leadsWith(['a'.repeat(2_000)]))
  const lower = await openApi(database.url, { maxPayloadBytes: 1_024 })
  onTestFinished(lower.close)
  expect(await lower.send('POST', runs)).toMatchObject({ status: 413, body: { code: 'payload_too_large' } })
})

test('the same key gives the run that it began before', async () => {
  const { runs } = await create(leadsSteps)
  const start = () => api.send('POST', runs, { idempotencyKey: 'monday' })
  const answers = await Promise.all([start(), start(), start()])
  expect(statusesOf(answers)).toEqual([200, 200, 201])
  expect(new Set(answers.map((answer) => runOf(answer).id)).size).toBe(1)
  expect((await jobsOf(runOf(await start()).id)).length).toBe(2)
})

test('a key that began a run does not begin another one with another payload or step, and says so', async () => {
  const { runs } = await create(leadsSteps)
  const start = (rest: Record<string, unknown>) => api.send('POST', runs, { idempotencyKey: 'tuesday', ...rest })
  const { id } = runOf(await start({ payload: [{ segmentationId: 1, of: 'b' }] }))
  const payload = [{ of: 'b', segmentationId: 1 }]
  for (const same of [{ payload }, { payload, step: 'every hour' }, {}]) {
    expect(await start(same)).toMatchObject({ status: 200, body: { id } })
  }
  for (const [other, how] of [
    [{ payload: [] }, 'with another payload'],
    [{ payload, step: 'get leads' }, 'at another step'],
  ] as const) {
    const detail = `Run ${id} began under this key ${how}; send the same, or another key.`
    expect(await start(other)).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused', detail } })
  }
})

test('the same start gives the run that it began, whatever became of the workflow and the run since', async () => {
  const { id: workflow, runs } = await create(leadsSteps.slice(1))
  const first = { payload: { segmentationId: -0 }, step: 'get leads', idempotencyKey: 'wednesday' }
  const start = () => api.send('POST', runs, first)
  const { id } = runOf(await start())
  const expectSame = async () => expect(await start()).toMatchObject({ status: 200, body: { id } })
  await expectSame()
  const [job] = await jobsOf(id)
  await failAsWorkersDo(id)
  const again = await api.send('POST', `/v1/jobs/${job?.id}/retry`, { payload: { segmentationId: 8 } })
  expect(again.status).toBe(200)
  await expectSame()
  const at = `/v1/workflows/${workflow}`
  const change = (body: Record<string, unknown>) => api.send('PUT', at, { name: 'leads', ...body }, { 'if-match': '*' })
  const renamed = [{ ...leadsSteps[1], name: 'renamed' }, ...leadsSteps.slice(2)]
  for (const body of [{ steps: renamed }, { steps: [] }, { steps: [], enabled: false }]) {
    expect(await change(body)).toMatchObject({ status: 200 })
    await expectSame()
  }
  expect((await api.send('DELETE', at)).status).toBe(204)
  await expectSame()
})

test('without a key every start is a run of its own', async () => {
  const { runs } = await create(leadsSteps)
  const first = runOf(await api.send('POST', runs, {}))
  const second = runOf(await api.send('POST', runs, {}))
  expect(first.id).not.toBe(second.id)
})

test('a workflow with several first steps must be told at which to start', async () => {
  const { runs } = await create([leadsSteps[0], { ...leadsSteps[0], name: 'at night' }, ...leadsSteps.slice(1)])
  expect(await api.send('POST', runs)).toMatchObject({
    status: 409,
    body: { code: 'first_step_ambiguous', detail: 'Say in "step" at which to start: "every hour", "at night".' },
  })
  expect((await api.send('POST', runs, { step: 'at night' })).status).toBe(201)
  expect(await api.send('POST', runs, { step: 'at nigth' })).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '/step', message: expect.stringContaining('did you mean "at night"?') }] },
  })
})

test('a disabled workflow, one without steps and one that is not there start nothing', async () => {
  const disabled = await create(leadsSteps, { enabled: false })
  expect(await api.send('POST', disabled.runs)).toMatchObject({ status: 409, body: { code: 'workflow_disabled' } })
  const empty = await create([], { name: 'empty' })
  expect(await api.send('POST', empty.runs)).toMatchObject({ status: 409, body: { code: 'first_step_missing' } })
  const nobody = '/v1/workflows/019a0000-0000-7000-8000-000000000000/runs'
  expect(await api.send('POST', nobody)).toMatchObject({ status: 404, body: { code: 'workflow_unknown' } })
  expect(await api.send('GET', nobody)).toMatchObject({ status: 404, body: { code: 'workflow_unknown' } })
  expect(await api.query('select 1 from workflow_run')).toEqual([])
})

test('a run does not begin while somebody holds its workflow locked, who asks is told so soon, and may ask by the same key', async () => {
  const { id, runs } = await create(leadsSteps.slice(1))
  const { pid, release } = await hold('select pg_backend_pid() as pid from workflow where id = $1 for update', id)
  const start = () => api.send('POST', runs, { payload: 1, idempotencyKey: 'once' })
  expect(await start()).toMatchObject({
    status: 409,
    body: {
      code: 'workflow_busy',
      detail: expect.stringContaining(`Session ${pid} of Postgres holds workflow ${id} locked`),
    },
  })
  expect(await api.query('select from workflow_run')).toEqual([])
  expect(await api.query('select from outbox_message')).toEqual([])
  await release()
  const begun = await start()
  expect(begun.status).toBe(201)
  expect(await start()).toMatchObject({ status: 200, body: { id: runOf(begun).id } })
})
