import { randomUUID } from 'node:crypto'
import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, type SavedWorkflow, type StepDraft } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { openRun, type RunStart } from './open-run.ts'

let engine: Engine
let lane: number

useEngine((opened, unread) => {
  engine = opened
  lane = unread
})

const start = (workflow: SavedWorkflow, more: Partial<RunStart> = {}): RunStart => ({
  workflow,
  stepId: workflow.stepIds[0],
  trigger: 'cron',
  idempotencyKey: randomUUID(),
  payload: null,
  lane,
  worker: 'test',
  ...more,
})

const tick = (outputType: StepDraft['outputType']): StepDraft => ({ functionName: 'CronJob', outputType })
const work: StepDraft = { functionName: 'Work', outputType: null }

/** The messages of a run's jobs, in the order in which they were written. */
const messagesOf = (runId: string) =>
  engine.query(
    `select message.routing_key as queue, job.payload, message.payload as reference, message.headers
     from outbox_message message join workflow_job job on job.id::text = message.payload ->> 'jobId'
     where job.run_id = $1 order by message.id`,
    [runId],
  )

const countRuns = async (workflow: SavedWorkflow) =>
  engine.query(`select count(*)::int as runs from workflow_run where workflow_id = $1`, [workflow.id])

/** Whether a session of the database waits for a lock of another. */
const isSomebodyWaiting = async (): Promise<boolean> =>
  (
    await engine.query(
      `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    )
  ).length > 0

test('the same key at once in two transactions begins one run, and both are told which', async () => {
  const workflow = await engine.saveWorkflow(tick('single'), work)
  const key = 'tick of noon'
  const opened = await Promise.all(
    [1, 2, 3, 4].map((payload) => openRun(engine.em(), start(workflow, { idempotencyKey: key, payload }))),
  )
  expect(new Set(opened.map(({ runId }) => runId)).size).toBe(1)
  expect(opened.filter(({ created }) => created)).toHaveLength(1)
  expect(await countRuns(workflow)).toEqual([{ runs: 1 }])
  const runId = opened[0]?.runId ?? ''
  expect(await engine.jobs(runId)).toHaveLength(2)
  expect(await messagesOf(runId)).toHaveLength(1)
})

test('a key waits for the transaction that has it, and is free again when that one is rolled back', async () => {
  const workflow = await engine.saveWorkflow(tick('single'), work)
  const key = 'undone'
  const first = engine.em()
  await first.begin()
  await openRun(first, start(workflow, { idempotencyKey: key }))
  const second = openRun(engine.em(), start(workflow, { idempotencyKey: key, payload: 'second' }))
  await waitFor(isSomebodyWaiting)
  await first.rollback()
  expect(await second).toMatchObject({ created: true, error: null })
  expect(await countRuns(workflow)).toEqual([{ runs: 1 }])
})

test.each([
  ['disabled', 'enabled = false', 'workflow_disabled'],
  ['deleted', 'deleted_at = now()', 'step_deleted'],
])('a workflow that is %s while a run of it is to begin begins none', async (_, change, code) => {
  const workflow = await engine.saveWorkflow(tick('single'), work)
  const other = engine.em()
  await other.begin()
  await queryable(other).query(`update workflow set ${change} where id = $1`, [workflow.id])
  const refused = openRun(engine.em(), start(workflow)).catch((error: unknown) => error)
  await waitFor(isSomebodyWaiting)
  await other.commit()
  expect(await refused).toMatchObject({ code })
  expect(await countRuns(workflow)).toEqual([{ runs: 0 }])
})

test('who disables a workflow waits for a run that is beginning, and other runs do not wait for that', async () => {
  const workflow = await engine.saveWorkflow(tick('single'), work)
  const first = engine.em()
  await first.begin()
  await openRun(first, start(workflow))
  expect(await openRun(engine.em(), start(workflow))).toMatchObject({ created: true })
  const disabling = engine.query(`update workflow set enabled = false where id = $1`, [workflow.id])
  await waitFor(isSomebodyWaiting)
  await first.commit()
  await disabling
  expect(await countRuns(workflow)).toEqual([{ runs: 2 }])
})

test('the same key is another run in another workflow', async () => {
  const [one, other] = [
    await engine.saveWorkflow(tick('single'), work),
    await engine.saveWorkflow(tick('single'), work),
  ]
  const first = await openRun(engine.em(), start(one, { idempotencyKey: 'same' }))
  const second = await openRun(engine.em(), start(other, { idempotencyKey: 'same' }))
  expect([first.created, second.created]).toEqual([true, true])
})

test.each([
  ['multiple', ['a', null, 3], ['a', null, 3]],
  ['single', ['a', 'b'], [['a', 'b']]],
  ['single', null, [null]],
  [null, { passes: 'on' }, [{ passes: 'on' }]],
] as const)(
  'a CronJob step "%s" with the payload %j gives the next step %j, in the first commit',
  async (outputType, payload, given) => {
    const workflow = await engine.saveWorkflow(tick(outputType), work)
    const { runId, created, error } = await openRun(engine.em(), start(workflow, { payload }))
    expect({ created, error }).toEqual({ created: true, error: null })
    const [first, ...next] = await engine.jobs(runId)
    expect(first).toMatchObject({ step: 0, status: 'succeeded', attempt: 1, payload, worker: 'test', parentId: null })
    expect(next.map((job) => job.payload)).toEqual(given)
    for (const job of next) expect(job).toMatchObject({ step: 1, status: 'queued', seq: 1, parentId: first?.id })
    expect(await messagesOf(runId)).toMatchObject(
      next.map(({ id, payload: item }) => ({ queue: 'Work', payload: item, reference: { jobId: id, seq: 1 } })),
    )
    expect(await engine.statusOf(runId)).toBe('running')
    expect(await engine.untrueCounters()).toEqual([])
  },
)

test.each([
  ['an empty array', 'multiple', [], null],
  ['an array', 'multiple', ['a'], ['a']],
  ['an object', 'single', { a: 1 }, { a: 1 }],
  ['anything', null, { a: 1 }, null],
] as const)(
  '%s from a CronJob step "%s" with nothing after it ends the run at once',
  async (what, outputType, payload, output) => {
    const workflow =
      what === 'an empty array'
        ? await engine.saveWorkflow(tick(outputType), work)
        : await engine.saveWorkflow(tick(outputType))
    const { runId } = await openRun(engine.em(), start(workflow, { payload }))
    expect(await engine.statusOf(runId)).toBe('succeeded')
    expect(await engine.jobs(runId)).toMatchObject([{ status: 'succeeded', payload, output }])
    expect(await messagesOf(runId)).toEqual([])
    expect(await engine.untrueCounters()).toEqual([])
  },
)

test('a payload that is no array fails the job and the run of a CronJob step "multiple", and names the payload', async () => {
  const workflow = await engine.saveWorkflow(tick('multiple'), work)
  const opened = await openRun(engine.em(), start(workflow, { payload: { not: 'a list' } }))
  const error = {
    code: 'output_invalid',
    message: 'step "step 0" has outputType "multiple": its payload must be an array, but an object came',
  }
  expect(opened).toMatchObject({ created: true, error })
  expect(await engine.statusOf(opened.runId)).toBe('failed')
  expect(await engine.jobs(opened.runId)).toMatchObject([{ step: 0, status: 'failed', attempt: 1, error }])
  expect(await messagesOf(opened.runId)).toEqual([])
  expect(await engine.untrueCounters()).toEqual([])
})

test('a run that begins at a step with a queue waits there for its worker', async () => {
  const workflow = await engine.saveWorkflow(work)
  const { runId } = await openRun(engine.em(), start(workflow, { trigger: 'manual', payload: 'by hand' }))
  const [job] = await engine.jobs(runId)
  expect(job).toMatchObject({ status: 'queued', payload: 'by hand', attempt: 0 })
  expect(await messagesOf(runId)).toMatchObject([{ queue: 'Work', reference: { jobId: job?.id, seq: 1 } }])
  expect(await engine.statusOf(runId)).toBe('running')
})

test('every job has a trace of its own, and its message carries it', async () => {
  const workflow = await engine.saveWorkflow(tick('multiple'), work)
  const { runId } = await openRun(engine.em(), start(workflow, { payload: [1, 2] }))
  const traces = (await engine.jobs(runId)).map(({ traceparent }) => traceparent)
  expect(new Set(traces.map((trace) => trace.split('-')[1])).size).toBe(3)
  for (const trace of traces) expect(trace).toMatch(/^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]$/)
  expect(await messagesOf(runId)).toMatchObject(traces.slice(1).map((traceparent) => ({ headers: { traceparent } })))
})

test('a step that the version does not have begins nothing', async () => {
  const workflow = await engine.saveWorkflow(tick('single'), work)
  const stepId = randomUUID()
  await expect(openRun(engine.em(), start(workflow, { stepId }))).rejects.toThrow(
    expect.objectContaining({
      code: 'step_unknown',
      message: `version 1 of workflow ${workflow.id} has no step ${stepId}`,
    }),
  )
  const older = { ...workflow, version: 9 }
  await expect(openRun(engine.em(), start(older))).rejects.toThrow(expect.objectContaining({ code: 'step_unknown' }))
  expect(await countRuns(workflow)).toEqual([{ runs: 0 }])
})
