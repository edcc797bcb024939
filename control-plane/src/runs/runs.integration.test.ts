import { beforeEach, expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { hold } from '../../test/hold.ts'
import { type Answer, leadsSteps, openApi, statusesOf } from '../../test/open-api.ts'
import { api, database, useApi } from '../../test/use-api.ts'
import { pageSchema } from '../http/pages.ts'
import { readCronSteps } from '../cron/read-cron-steps.ts'
import { workflowDocument } from '../workflows/document.ts'
import { runDocument, runWithSteps } from './document.ts'

useApi()
beforeEach(() => api.query('truncate workflow, outbox_message cascade'))

const create = async (steps: unknown[], change: Record<string, unknown> = {}) => {
  const { body } = await api.send('POST', '/v1/workflows', { name: 'leads', steps, ...change })
  const { id } = workflowDocument.parse(body)
  return { id, runs: `/v1/workflows/${id}/runs` }
}
const runOf = ({ body }: Answer) => runDocument.parse(body)
const read = async (id: string) => runWithSteps.parse((await api.send('GET', `/v1/runs/${id}`)).body)
const jobs = z.object({ items: z.array(z.object({ id: z.string(), payload: z.unknown(), status: z.string() })) })
const jobsOf = async (runId: string, query = '') =>
  jobs.parse((await api.send('GET', `/v1/jobs?runId=${runId}${query}`)).body).items

/** Has the only job of a run failed, as a worker and its hint leave it. */
const failAsWorkersDo = async (id: string): Promise<void> => {
  await api.query(`update workflow_job set status = 'failed', attempt = 3, finished_at = now() where run_id = $1`, [id])
  await api.query('update workflow_run_step set belt = 0, failed = 1 where run_id = $1 and belt = 1', [id])
  await api.query(`update workflow_run set status = 'failed', finished_at = now() where id = $1`, [id])
}

test('a run begins at the first step, with its job on the belt and one message for it', async () => {
  const { id, runs } = await create(leadsSteps.slice(1))
  const answer = await api.send('POST', runs, { payload: { segmentationId: 7 } })
  const run = runOf(answer)
  expect(answer.status).toBe(201)
  expect(answer.headers.get('location')).toBe(`/v1/runs/${run.id}`)
  expect(run).toMatchObject({ workflowId: id, version: 1, trigger: 'manual', status: 'running', finishedAt: null })
  expect((await read(run.id)).steps).toMatchObject([
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
  const own = await read(runOf(await api.send('POST', runs)).id)
  expect(own.steps.map(({ belt, succeeded }) => [belt, succeeded])).toEqual([
    [0, 1],
    [1, 0],
    [0, 0],
  ])
  const given = runOf(await api.send('POST', runs, { payload: [{ segmentationId: 2 }, { segmentationId: 3 }] }))
  const [, get] = (await read(given.id)).steps
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
  const run = await read(runOf(answer).id)
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

const leadsWith = (payload: unknown) => [
  { ...leadsSteps[0], config: { ...leadsSteps[0]?.config, payload } },
  ...leadsSteps.slice(1),
]

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
  expect(await read(run.id)).toMatchObject({ steps: [{ succeeded: 1 }, { staged: 98_000, belt: 2_000 }, {}] })
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

test('a run stays on the version that it began with', async () => {
  const { id, runs } = await create(leadsSteps)
  const run = runOf(await api.send('POST', runs))
  await api.send('PUT', `/v1/workflows/${id}`, { name: 'leads', steps: [] }, { 'if-match': '"1"' })
  expect((await read(run.id)).steps.map(({ name }) => name)).toEqual(['every hour', 'get leads', 'insert'])
})

test('the runs are listed the newest first, page by page, and outlive their workflow', async () => {
  const { id, runs } = await create(leadsSteps)
  const ids: string[] = []
  for (let index = 0; index < 5; index += 1) ids.unshift(runOf(await api.send('POST', runs)).id)
  await api.send('DELETE', `/v1/workflows/${id}`)
  const first = pageSchema(runDocument).parse((await api.send('GET', `${runs}?limit=3`)).body)
  const second = pageSchema(runDocument).parse(
    (await api.send('GET', `${runs}?limit=3&cursor=${first.nextCursor}`)).body,
  )
  expect([...first.items, ...second.items].map((run) => run.id)).toEqual(ids)
  expect(second.nextCursor).toBeNull()
})

test('jobs are found by run, step and status, page by page, and one by its id', async () => {
  const { runs } = await create(leadsSteps)
  const payload = Array.from({ length: 5 }, (_, segmentationId) => ({ segmentationId }))
  const run = await read(runOf(await api.send('POST', runs, { payload })).id)
  await api.send('POST', runs)
  const [tick, get] = run.steps
  expect(await jobsOf(run.id)).toHaveLength(6)
  expect(await jobsOf(run.id, `&stepId=${get?.stepId}&status=queued`)).toHaveLength(5)
  expect(await jobsOf(run.id, `&stepId=${tick?.stepId}&status=queued`)).toHaveLength(0)
  const page = z.object({ items: z.array(z.object({ id: z.string() })), nextCursor: z.string().nullable() })
  const seen: string[] = []
  let next: string | null = null
  do {
    const cursor = next === null ? '' : `&cursor=${next}`
    const { items, nextCursor } = page.parse((await api.send('GET', `/v1/jobs?runId=${run.id}&limit=4${cursor}`)).body)
    seen.push(...items.map(({ id }) => id))
    next = nextCursor
  } while (next !== null)
  expect(seen).toEqual([...new Set(seen)].toSorted().toReversed())
  expect(seen).toHaveLength(6)
  const [newest = ''] = seen
  expect((await api.send('GET', `/v1/jobs/${newest}`)).body).toMatchObject({
    id: newest,
    runId: run.id,
    stepId: get?.stepId,
    parentId: expect.any(String),
    itemIndex: expect.any(Number),
    status: 'queued',
    seq: 1,
    attempt: 0,
    output: null,
    error: null,
    traceparent: expect.stringMatching(/^00-/),
    finishedAt: null,
  })
})

test('a run is cancelled with the jobs that wait, and stays so when it is asked for again', async () => {
  const { runs } = await create(leadsSteps)
  const { id } = runOf(await api.send('POST', runs, { payload: [{ segmentationId: 1 }, { segmentationId: 2 }] }))
  for (const again of [1, 2]) {
    const answer = await api.send('POST', `/v1/runs/${id}/cancel`)
    expect(answer, `${again}`).toMatchObject({ status: 200, body: { id, status: 'cancelled' } })
    expect(runOf(answer).finishedAt).not.toBeNull()
  }
  expect((await read(id)).steps.map(({ belt, succeeded, cancelled }) => [belt, succeeded, cancelled])).toEqual([
    [0, 1, 0],
    [0, 0, 2],
    [0, 0, 0],
  ])
  expect(await jobsOf(id, '&status=cancelled')).toHaveLength(2)
  expect(await api.query('select from outbox_message')).toHaveLength(2)
})

test('a run with a job that a worker runs is being cancelled until that has ended', async () => {
  const { runs } = await create(leadsSteps.slice(1))
  const { id } = runOf(await api.send('POST', runs))
  await api.query(`update workflow_job set status = 'running', claim = gen_random_uuid() where run_id = $1`, [id])
  expect(await api.send('POST', `/v1/runs/${id}/cancel`)).toMatchObject({
    status: 200,
    body: { status: 'cancelling', finishedAt: null },
  })
})

test('a failed job is sent again, with another payload if one is given, and its run is open again', async () => {
  const { runs } = await create(leadsSteps.slice(1))
  const { id } = runOf(await api.send('POST', runs, { payload: { segmentationId: 1 } }))
  await failAsWorkersDo(id)
  const [job] = await jobsOf(id)
  const retry = (body?: unknown) => api.send('POST', `/v1/jobs/${job?.id}/retry`, body)
  expect(await retry({ paylod: 1 })).toMatchObject({ status: 422, body: { code: 'body_invalid' } })
  const tooLarge = await retry({ payload: 'a'.repeat(1024 * 1024) })
  expect(tooLarge).toMatchObject({ status: 413, body: { code: 'payload_too_large' } })
  expect(await retry({ payload: { segmentationId: 2 } })).toMatchObject({
    status: 200,
    body: { id: job?.id, status: 'queued', seq: 2, revision: 1, attempt: 0, error: null, finishedAt: null },
  })
  expect(await jobsOf(id)).toMatchObject([{ payload: { segmentationId: 2 } }])
  expect(await read(id)).toMatchObject({ status: 'running', finishedAt: null })
  expect(await retry()).toMatchObject({ status: 409, body: { code: 'job_not_failed' } })
  await api.send('POST', `/v1/runs/${id}/cancel`)
  expect(await retry()).toMatchObject({ status: 409, body: { code: 'run_cancelled' } })
})

test('all failed jobs of a run are sent again, and its run is open again', async () => {
  const { runs } = await create(leadsSteps)
  const { id } = runOf(
    await api.send('POST', runs, { payload: [1, 2, 3].map((segmentationId) => ({ segmentationId })) }),
  )
  const retry = () => api.send('POST', `/v1/runs/${id}/retry`)
  expect(await retry()).toMatchObject({ status: 200, body: { status: 'running', steps: [{}, { belt: 3 }, {}] } })
  // As workers leave them.
  await api.query(
    `with ended as (
       update workflow_job set status = case when item_index = 0 then 'succeeded' else 'failed' end, finished_at = now()
       where run_id = $1 and status = 'queued' returning run_id
     ), counted as (
       update workflow_run_step set belt = 0, succeeded = 1, failed = 2 where run_id = $1 and belt = 3
     )
     update workflow_run set status = 'failed', finished_at = now() where id = $1`,
    [id],
  )
  expect(await retry()).toMatchObject({
    status: 200,
    body: { status: 'running', finishedAt: null, steps: [{}, { belt: 2, succeeded: 1, failed: 0 }, {}] },
  })
  await api.send('POST', `/v1/runs/${id}/cancel`)
  expect(await retry()).toMatchObject({ status: 409, body: { code: 'run_cancelled' } })
})

test('who asks something of a run that somebody holds locked is told so soon, and which session has it', async () => {
  const { runs } = await create(leadsSteps.slice(1))
  const { id } = runOf(await api.send('POST', runs))
  const [job] = await jobsOf(id)
  const { pid, release } = await hold('select pg_backend_pid() as pid from workflow_run where id = $1 for update', id)
  for (const path of [`runs/${id}/cancel`, `runs/${id}/retry`, `jobs/${job?.id}/retry`]) {
    const detail = expect.stringContaining(`Session ${pid} of Postgres holds`)
    expect(await api.send('POST', `/v1/${path}`), path).toMatchObject({
      status: 409,
      body: { code: 'run_busy', detail },
    })
  }
  await release()
  expect(await api.send('POST', `/v1/runs/${id}/cancel`)).toMatchObject({ status: 200, body: { status: 'cancelled' } })
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

test('a job is cancelled alone, and stays so; one that is over is not', async () => {
  const { runs } = await create(leadsSteps)
  const { id } = runOf(await api.send('POST', runs, { payload: [{ segmentationId: 1 }, { segmentationId: 2 }] }))
  const [one, other] = await jobsOf(id, '&status=queued')
  const cancel = (job?: { id: string }) => api.send('POST', `/v1/jobs/${job?.id}/cancel`)
  for (const again of [1, 2]) {
    expect(await cancel(one), `${again}`).toMatchObject({ status: 200, body: { id: one?.id, status: 'cancelled' } })
  }
  expect(await read(id)).toMatchObject({
    status: 'running',
    steps: [{ succeeded: 1 }, { belt: 1, cancelled: 1 }, { belt: 0 }],
  })
  const [tick] = await jobsOf(id, '&status=succeeded')
  expect(await cancel(tick)).toMatchObject({ status: 409, body: { code: 'job_over' } })
  await cancel(other)
  expect(await read(id)).toMatchObject({ status: 'cancelled' })
})

test('a tick that failed is not sent again', async () => {
  const { runs } = await create(leadsSteps)
  const { id } = runOf(await api.send('POST', runs, { payload: 'no array' }))
  const [job] = await jobsOf(id)
  expect(await api.send('POST', `/v1/jobs/${job?.id}/retry`)).toMatchObject({
    status: 409,
    body: { code: 'job_of_tick', detail: `Job ${job?.id} is a tick: start another run in its place.` },
  })
})

test('a run that has ended cannot be cancelled', async () => {
  const { runs } = await create(leadsSteps)
  const { id } = runOf(await api.send('POST', runs, { payload: [] }))
  expect(await api.send('POST', `/v1/runs/${id}/cancel`)).toMatchObject({
    status: 409,
    body: { code: 'run_over', detail: `Run ${id} is succeeded: there is nothing to cancel.` },
  })
})

test('runs and jobs that are not there are not found', async () => {
  const nobody = '019a0000-0000-7000-8000-000000000000'
  for (const action of ['retry', 'cancel']) {
    expect(await api.send('POST', `/v1/runs/${nobody}/${action}`)).toMatchObject({
      status: 404,
      body: { code: 'run_unknown' },
    })
  }
  expect(await api.send('GET', `/v1/runs/${nobody}`)).toMatchObject({ status: 404, body: { code: 'run_unknown' } })
  expect(await api.send('GET', `/v1/jobs/${nobody}`)).toMatchObject({ status: 404, body: { code: 'job_unknown' } })
  for (const action of ['retry', 'cancel']) {
    expect(await api.send('POST', `/v1/jobs/${nobody}/${action}`)).toMatchObject({
      status: 404,
      body: { code: 'job_unknown' },
    })
  }
})
