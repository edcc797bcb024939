import { randomUUID } from 'node:crypto'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { watchCounters } from '../../test/watch-counters.ts'
import { retry } from '../function/outcome.ts'
import { claimJobs } from '../job/claim-jobs.ts'
import { findJobs } from '../job/find-jobs.ts'
import type { FinishedJob } from '../job/held-job.ts'
import { writeUnit } from '../job/unit/write-unit.ts'
import { beginCancel, cancelRun, carryOnCancels } from './cancel-run.ts'

let engine: Engine
let lane: number

useEngine((opened, unread) => {
  engine = opened
  lane = unread
})

/** A run with a queued job for each payload, of a function that leads to another one. */
const beginJobs = async (functionName: string, payloads: readonly unknown[]) => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName, outputType: 'multiple', retry: { backoff: 'fixed', delayMs: 0 } },
    { functionName: `${functionName}.next`, outputType: null },
  )
  return { run: await engine.begin(workflow, payloads), nextStepId: workflow.stepIds[2] ?? '' }
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

/** How many jobs of a run's step have which status. */
const statusesOf = async (run: string, step: number): Promise<Record<string, number>> => {
  const counts: Record<string, number> = {}
  for (const job of await engine.jobs(run)) {
    if (job.step === step) counts[job.status] = (counts[job.status] ?? 0) + 1
  }
  return counts
}

test('a cancel leaves the messages where they are, and workers drop them', async () => {
  let calls = 0
  const functions = [functionOf('untouched', () => (calls += 1))]
  // It declares the queue.
  await (await engine.startWorker(functions)).stop()
  const { run } = await beginJobs('untouched', numbers(300))
  await waitFor(async () => (await engine.broker.count('untouched')) === 300, { deadlineMs: 20_000 })
  expect(await cancelRun(engine.em(), run)).toBe('cancelled')
  expect(await statusesOf(run, 1)).toEqual({ cancelled: 300 })
  expect(await engine.broker.count('untouched')).toBe(300)
  const worker = await engine.startWorker(functions)
  await waitFor(() => worker.saw('delivery.dropped').length === 300, { deadlineMs: 20_000 })
  expect(new Set(worker.saw('delivery.dropped').map((event) => 'reason' in event && event.reason))).toEqual(
    new Set(['job is over']),
  )
  expect(calls).toBe(0)
  await worker.stop()
  expect(await engine.broker.count('untouched')).toBe(0)
})

test('a cancel that is asked for again, or by several at once, is one', async () => {
  const { run } = await beginJobs('often', numbers(30))
  const asked = await Promise.all(numbers(5).map(() => cancelRun(engine.em(), run)))
  expect(asked.every((status) => status === 'cancelling' || status === 'cancelled')).toBe(true)
  expect(await cancelRun(engine.em(), run)).toBe('cancelled')
  expect(await statusesOf(run, 1)).toEqual({ cancelled: 30 })
})

test('a run that is over keeps its end, and one that is not there has none', async () => {
  const workflow = await engine.saveWorkflow({ functionName: 'CronJob', outputType: 'single' })
  const run = await engine.begin(workflow, null)
  expect(await cancelRun(engine.em(), run)).toBe('succeeded')
  expect(await engine.statusOf(run)).toBe('succeeded')
  expect(await cancelRun(engine.em(), randomUUID())).toBeNull()
})

test('of a canceller that died when the run was marked, the sweep does the rest, however many jobs there are', async () => {
  const { run } = await beginJobs('left', numbers(2_500))
  expect(await beginCancel(engine.em(), run)).toBe('cancelling')
  expect(await statusesOf(run, 1)).toEqual({ queued: 2_000, staged: 500 })
  expect(await carryOnCancels(engine.em())).toBe(2_500)
  expect(await engine.statusOf(run)).toBe('cancelled')
  expect(await carryOnCancels(engine.em())).toBe(0)
})

test('a run that was looked through in vain rests for longer than that took, and is ended meanwhile', async () => {
  const { run } = await beginJobs('rests', [1, 2])
  await engine.query(
    `update workflow_job set status = 'running', claim = $2 where run_id = $1 and parent_id is not null`,
    [run, randomUUID()],
  )
  expect(await beginCancel(engine.em(), run)).toBe('cancelling')
  const rests = new Map<string, number>()
  const before = performance.now()
  expect(await carryOnCancels(engine.em(), rests)).toBe(0)
  expect(rests.get(run)).toBeGreaterThan(before)
  // The function of one has it tried again.
  await engine.query(
    `update workflow_job set status = 'queued', claim = null
     where run_id = $1 and parent_id is not null and item_index = 0`,
    [run],
  )
  rests.set(run, Infinity)
  expect(await carryOnCancels(engine.em(), rests)).toBe(0)
  rests.set(run, 0)
  expect(await carryOnCancels(engine.em(), rests)).toBe(1)
  // And that of the other ends.
  await engine.query(
    `update workflow_job set status = 'succeeded', claim = null, finished_at = now()
     where run_id = $1 and parent_id is not null and item_index = 1`,
    [run],
  )
  await engine.query(
    `update workflow_run_step set belt = 0, succeeded = succeeded + 1 where run_id = $1 and belt = 1`,
    [run],
  )
  rests.set(run, Infinity)
  expect(await carryOnCancels(engine.em(), rests)).toBe(0)
  expect(await engine.statusOf(run)).toBe('cancelled')
  await carryOnCancels(engine.em(), rests)
  expect(rests.size).toBe(0)
})

test('the jobs that come of one that ends in a run that is being cancelled are over, without a message', async () => {
  const { run, nextStepId } = await beginJobs('ends', ['a'])
  const [id = ''] = (await engine.jobs(run)).filter(({ step }) => step === 1).map((job) => job.id)
  const claim = randomUUID()
  const found = (await findJobs(engine.em(), [id])).get(id)
  if (found === undefined) throw new Error('there is a job')
  await claimJobs(engine.em(), [{ job: found, next: claim }], 'test')
  expect(await cancelRun(engine.em(), run)).toBe('cancelling')
  expect(await statusesOf(run, 1)).toEqual({ running: 1 })
  const next = { id: nextStepId, functionName: 'ends.next' }
  const finished: FinishedJob = {
    job: { ...found, claim, functionName: 'ends' },
    ending: { kind: 'succeeded', placed: { kind: 'items', items: ['x', 'y'], next } },
    elapsedMs: 1,
  }
  await engine.em().transactional((em) => writeUnit(em, { ends: [finished] }, { worker: 'test', lane }))
  expect(await statusesOf(run, 1)).toEqual({ succeeded: 1 })
  expect(await statusesOf(run, 2)).toEqual({ cancelled: 2 })
  expect(await engine.query('select from outbox_message where lane = $1', [lane])).toEqual([])
  await carryOnCancels(engine.em())
  expect(await engine.statusOf(run)).toBe('cancelled')
})

test('a message that comes while its run is being cancelled ends its job, also one that somebody else began', async () => {
  const { run } = await beginJobs('late', [1, 2])
  const [id] = (await engine.jobs(run)).filter(({ step }) => step === 1).map((job) => job.id)
  await engine.query(`update workflow_job set status = 'running', claim = $2 where id = $1`, [id, randomUUID()])
  expect(await beginCancel(engine.em(), run)).toBe('cancelling')
  let calls = 0
  const worker = await engine.startWorker([functionOf('late', () => (calls += 1))])
  expect(await engine.over(run)).toBe('cancelled')
  expect(calls).toBe(0)
  expect(worker.saw('job.written').map((event) => 'ending' in event && event.ending)).toEqual([
    'cancelled',
    'cancelled',
  ])
  expect((await engine.jobs(run)).filter(({ step }) => step === 1)).toMatchObject([
    { status: 'cancelled', attempt: 0, claim: null, error: null },
    { status: 'cancelled', attempt: 0, claim: null, error: null },
  ])
})

test('while jobs of a run end, fail and are tried again, it is cancelled from many sides: counters are true', async () => {
  const functions = [
    functionOf('sides', ({ payload, attempt }) => {
      if (attempt === 1 && Number(payload) % 3 === 0) return retry('once more')
      if (Number(payload) % 7 === 0) throw Object.assign(new Error('never'), { final: true })
      return ['a', 'b']
    }),
    functionOf('sides.next', () => undefined),
  ]
  for (let by = 0; by < 4; by += 1) await engine.startWorker(functions, { worker: `worker ${by}`, prefetch: 10 })
  const watch = watchCounters(engine)
  const { run } = await beginJobs('sides', numbers(2_000))
  await waitFor(async () => ((await statusesOf(run, 1))['succeeded'] ?? 0) > 100, { deadlineMs: 20_000 })
  await Promise.all(numbers(5).map(() => cancelRun(engine.em(), run)))
  await Promise.all(numbers(5).map(() => carryOnCancels(engine.em())))
  await waitFor(
    async () => {
      await carryOnCancels(engine.em())
      return (await engine.statusOf(run)) === 'cancelled'
    },
    { deadlineMs: 20_000 },
  )
  expect((await watch.stop()).seen).toEqual([])
  const ends = await statusesOf(run, 1)
  expect(ends['cancelled']).toBeGreaterThan(0)
  expect(Object.values(ends).reduce((sum, count) => sum + count, 0)).toBe(2_000)
})
