import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Engine } from '../../../test/engine.ts'
import { holdLocked, lockSqls } from '../../../test/hold-locked.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { beginCancel, cancelRun, carryOnCancels } from '../cancel-run.ts'
import { openRun } from '../open-run.ts'
import { releaseWaitingJobs } from './release.ts'

let engine: Engine
let lane: number

useEngine((opened, unread) => {
  engine = opened
  lane = unread
})

/** A run of three jobs, one of them on the belt. */
const begin = async (): Promise<string> => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'work', outputType: null },
  )
  const start = {
    workflow,
    stepId: workflow.stepIds[0],
    trigger: 'manual',
    worker: 'test',
    payload: [1, 2, 3],
  } as const
  return (await openRun(engine.em(), { ...start, idempotencyKey: randomUUID(), lane, window: 1 })).runId
}

const countOf = async (run: string, status: string): Promise<number> =>
  (await engine.jobs(run)).filter((job) => job.step === 1 && job.status === status).length

test('a sweep releases jobs of all runs but those whose counters somebody holds, and of those the next time', async () => {
  const [held, free] = [await begin(), await begin()]
  const { release } = await holdLocked(engine, lockSqls.counters, held)
  expect(await releaseWaitingJobs(engine.em(), { lane, window: 3 })).toBe(2)
  expect([await countOf(held, 'staged'), await countOf(free, 'staged')]).toEqual([2, 0])
  await release()
  expect(await releaseWaitingJobs(engine.em(), { lane, window: 3 })).toBe(2)
  expect(await countOf(held, 'queued')).toBe(3)
  for (const run of [held, free]) await cancelRun(engine.em(), run)
})

test('a sweep carries on all cancels but those of runs whose counters somebody holds, and those some time later', async () => {
  const [held, free] = [await begin(), await begin()]
  for (const run of [held, free]) await beginCancel(engine.em(), run)
  const { release } = await holdLocked(engine, lockSqls.counters, held)
  const rests = new Map<string, number>()
  expect(await carryOnCancels(engine.em(), rests)).toBe(3)
  expect([await engine.statusOf(held), await engine.statusOf(free)]).toEqual(['cancelling', 'cancelled'])
  // It has waited once, and does not before others have had their turns.
  expect([...rests.keys()]).toEqual([held])
  await release()
  expect(await carryOnCancels(engine.em())).toBe(3)
  expect(await engine.statusOf(held)).toBe('cancelled')
})

test('a cancel of a run whose counters somebody holds is left to the sweep', async () => {
  const held = await begin()
  const { release } = await holdLocked(engine, lockSqls.counters, held)
  expect(await cancelRun(engine.em(), held)).toBe('cancelling')
  expect(await countOf(held, 'cancelled')).toBe(0)
  await release()
  await carryOnCancels(engine.em())
  expect(await engine.statusOf(held)).toBe('cancelled')
})
