import { beforeEach, expect, test } from 'vitest'
import * as z from 'zod'
import { hold } from '../../test/hold.ts'
import { leadsSteps } from '../../test/open-api.ts'
import { create, failAsWorkersDo, jobsOf, readRun, runOf } from '../../test/runs.ts'
import { api, useApi } from '../../test/use-api.ts'
import { pageSchema } from '../http/pages.ts'
import { runDocument } from './document.ts'

useApi()
beforeEach(() => api.query('truncate workflow, outbox_message cascade'))

test('a run stays on the version that it began with', async () => {
  const { id, runs } = await create(leadsSteps)
  const run = runOf(await api.send('POST', runs))
  await api.send('PUT', `/v1/workflows/${id}`, { name: 'leads', steps: [] }, { 'if-match': '"1"' })
  expect((await readRun(run.id)).steps.map(({ name }) => name)).toEqual(['every hour', 'get leads', 'insert'])
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
  const run = await readRun(runOf(await api.send('POST', runs, { payload })).id)
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
  expect((await readRun(id)).steps.map(({ belt, succeeded, cancelled }) => [belt, succeeded, cancelled])).toEqual([
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
  expect(await readRun(id)).toMatchObject({ status: 'running', finishedAt: null })
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

test('a job is cancelled alone, and stays so; one that is over is not', async () => {
  const { runs } = await create(leadsSteps)
  const { id } = runOf(await api.send('POST', runs, { payload: [{ segmentationId: 1 }, { segmentationId: 2 }] }))
  const [one, other] = await jobsOf(id, '&status=queued')
  const cancel = (job?: { id: string }) => api.send('POST', `/v1/jobs/${job?.id}/cancel`)
  for (const again of [1, 2]) {
    expect(await cancel(one), `${again}`).toMatchObject({ status: 200, body: { id: one?.id, status: 'cancelled' } })
  }
  expect(await readRun(id)).toMatchObject({
    status: 'running',
    steps: [{ succeeded: 1 }, { belt: 1, cancelled: 1 }, { belt: 0 }],
  })
  const [tick] = await jobsOf(id, '&status=succeeded')
  expect(await cancel(tick)).toMatchObject({ status: 409, body: { code: 'job_over' } })
  await cancel(other)
  expect(await readRun(id)).toMatchObject({ status: 'cancelled' })
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
