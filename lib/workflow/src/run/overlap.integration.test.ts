import { randomUUID } from 'node:crypto'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import * as z from 'zod'
import type { Engine, SavedWorkflow } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { carryOnCancels } from './cancel-run.ts'
import { openRun, type RunStart } from './open-run.ts'
import type { Overlap } from '../cron/cron-job.ts'

let engine: Engine
let lane: number

useEngine((opened, unread) => {
  engine = opened
  lane = unread
})

const saveWorkflow = () =>
  engine.saveWorkflow({ functionName: 'CronJob', outputType: 'single' }, { functionName: 'Work', outputType: null })

const tick = (
  workflow: SavedWorkflow,
  overlap: Overlap | undefined,
  idempotencyKey: string = randomUUID(),
): RunStart => ({
  workflow,
  stepId: workflow.stepIds[0],
  trigger: 'cron',
  idempotencyKey,
  payload: null,
  lane,
  worker: 'test',
  ...(overlap === undefined ? {} : { overlap }),
})

/** The statuses of a workflow's runs, the oldest first. */
const statusesOf = async ({ id }: SavedWorkflow): Promise<string[]> =>
  runRows
    .parse(await engine.query(`select status from workflow_run where workflow_id = $1 order by id`, [id]))
    .map(({ status }) => status)

const runRows = z.array(z.object({ status: z.string() }))

/** Ends every open run, so that nothing waits for a worker. */
const endAll = async (workflow: SavedWorkflow) => {
  await engine.query(`update workflow_run set status = 'cancelling' where workflow_id = $1 and status = 'running'`, [
    workflow.id,
  ])
  await carryOnCancels(engine.em())
}

/** Whether a session waits for a row of another's. */
const isSomebodyWaiting = async (): Promise<boolean> =>
  (await engine.query(`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`))
    .length > 0

/** Opens two runs at the same moment: the second while the first is written, but not committed. */
const openTogether = async (workflow: SavedWorkflow, overlap: Overlap) => {
  const first = engine.em()
  await first.begin()
  const one = await openRun(first, tick(workflow, overlap))
  const second = openRun(engine.em(), tick(workflow, overlap))
  await waitFor(isSomebodyWaiting)
  await first.commit()
  return [one, await second]
}

test.each([undefined, 'allow'] as const)('with overlap %s a run begins beside another', async (overlap) => {
  const workflow = await saveWorkflow()
  for (const again of [1, 2]) {
    expect(await openRun(engine.em(), tick(workflow, overlap)), `${again}`).toMatchObject({ skipped: false })
  }
  expect(await statusesOf(workflow)).toEqual(['running', 'running'])
  await endAll(workflow)
})

test('skip: while a run is open the next one is a row that says so, without a job, and the key is used', async () => {
  const workflow = await saveWorkflow()
  await openRun(engine.em(), tick(workflow, 'skip', 'first'))
  const skipped = await openRun(engine.em(), tick(workflow, 'skip', 'second'))
  expect(skipped).toMatchObject({ created: true, skipped: true, error: null })
  expect(await statusesOf(workflow)).toEqual(['running', 'skipped'])
  expect(await engine.jobs(skipped.runId)).toEqual([])
  const steps = await engine.query(`select step_id, belt::int from workflow_run_step where run_id = $1`, [
    skipped.runId,
  ])
  expect(steps).toEqual([{ step_id: workflow.stepIds[0], belt: 0 }])

  await endAll(workflow)
  const again = await openRun(engine.em(), tick(workflow, 'skip', 'second'))
  expect(again).toEqual({ runId: skipped.runId, created: false, skipped: false, error: null })
  expect(await openRun(engine.em(), tick(workflow, 'skip', 'third'))).toMatchObject({ created: true, skipped: false })
  expect(await statusesOf(workflow)).toEqual(['cancelled', 'skipped', 'running'])
  await endAll(workflow)
})

test('skip: a run that is being cancelled is open, and one of another workflow is not asked for', async () => {
  const [workflow, other] = [await saveWorkflow(), await saveWorkflow()]
  await openRun(engine.em(), tick(other, 'skip'))
  const { runId } = await openRun(engine.em(), tick(workflow, 'skip'))
  await engine.query(`update workflow_run set status = 'cancelling' where id = $1`, [runId])
  expect(await openRun(engine.em(), tick(workflow, 'skip'))).toMatchObject({ skipped: true })
  await endAll(workflow)
  await endAll(other)
})

test('skip: of two at the same moment one begins', async () => {
  const workflow = await saveWorkflow()
  const opened = await openTogether(workflow, 'skip')
  expect(opened.map(({ skipped }) => skipped)).toEqual([false, true])
  const many = await Promise.all([1, 2, 3, 4].map(() => openRun(engine.em(), tick(workflow, 'skip'))))
  expect(many.every(({ skipped }) => skipped)).toBe(true)
  await endAll(workflow)
})

test('cancel: the run that is open is cancelled, and the new one runs', async () => {
  const workflow = await saveWorkflow()
  const first = await openRun(engine.em(), tick(workflow, 'cancel', 'first'))
  const second = await openRun(engine.em(), tick(workflow, 'cancel', 'second'))
  expect(await statusesOf(workflow)).toEqual(['cancelling', 'running'])
  await carryOnCancels(engine.em())
  expect((await engine.jobs(first.runId)).map(({ status }) => status)).toEqual(['succeeded', 'cancelled'])
  expect((await engine.jobs(second.runId)).map(({ status }) => status)).toEqual(['succeeded', 'queued'])
  // The same tick once more is not a new one: it cancels nothing, least of all itself.
  expect(await openRun(engine.em(), tick(workflow, 'cancel', 'second'))).toMatchObject({ created: false })
  expect(await statusesOf(workflow)).toEqual(['cancelled', 'running'])
  await endAll(workflow)
})

test('cancel: of two at the same moment the second cancels the first', async () => {
  const workflow = await saveWorkflow()
  await openTogether(workflow, 'cancel')
  expect(await statusesOf(workflow)).toEqual(['cancelling', 'running'])
  await Promise.all([1, 2, 3, 4].map(() => openRun(engine.em(), tick(workflow, 'cancel'))))
  expect((await statusesOf(workflow)).filter((status) => status === 'running')).toHaveLength(1)
  await endAll(workflow)
})
