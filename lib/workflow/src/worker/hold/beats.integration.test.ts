import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { holdCommits } from '../../../test/hold-commits.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { useLink } from '../../../test/use-link.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const link = useLink(() => engine.databaseUrl)

/** A cancel must be heard within 2 s; the third is a busy machine's. */
const cancelMs = 3_000

/** A function that is at work until `go`, with the signal of each attempt. */
const longFunction = (name: string) => {
  const gate = Promise.withResolvers<void>()
  const signals: AbortSignal[] = []
  const fn = functionOf(name, async ({ signal }) => {
    signals.push(signal)
    await gate.promise
    return 'done'
  })
  return { fn, signals, go: gate.resolve }
}

const begin = async (name: string) =>
  engine.begin(await engine.saveWorkflow({ functionName: name, outputType: 'single' }), null)

/** What whoever cancels a run writes first, and what last. */
const cancelRun = (run: string) => engine.query(`update workflow_run set status = 'cancelling' where id = $1`, [run])
const endRun = (run: string) =>
  engine.query(`update workflow_run set status = 'cancelled', finished_at = now() where id = $1`, [run])

const jobOf = async (run: string) => {
  const [job] = await engine.jobs(run)
  if (job === undefined) throw new Error('the run has no job')
  return job
}

const cancelled = (run: string) => waitFor(async () => (await jobOf(run)).status === 'cancelled')

test('a cancel reaches a running function within two seconds, and its job ends cancelled, though it ignores its signal', async () => {
  const { fn, signals } = longFunction('ignores')
  const worker = await engine.startWorker([fn])
  const run = await begin('ignores')
  await waitFor(() => signals.length === 1)
  const begun = performance.now()
  await cancelRun(run)
  await waitFor(() => signals[0]?.aborted)
  expect(performance.now() - begun).toBeLessThan(cancelMs)
  expect(signals[0]?.reason).toMatchObject({ code: 'cancelled', message: 'the job, or its run, was cancelled' })
  await cancelled(run)
  const job = await jobOf(run)
  expect(job).toMatchObject({ attempt: 0, claim: null, error: null, output: null, worker: 'worker' })
  expect(await engine.attempts(job.id)).toMatchObject([{ seq: 1, attempt: 1, outcome: 'cancelled', error: null }])
  expect(worker.saw('job.written')).toMatchObject([{ functionName: 'ignores', ending: 'cancelled' }])
  await endRun(run)
  await worker.stop()
  expect(await engine.broker.count('ignores')).toBe(0)
})

test.each([
  ['heeds', 'throws what its signal says', (signal: AbortSignal) => signal.throwIfAborted()],
  [
    'complains',
    'throws an error of its own',
    () => {
      throw new Error('I was told to stop')
    },
  ],
])('a function that %s and %s when it is cancelled did not fail', async (name, _, end) => {
  await engine.startWorker([
    functionOf(name, async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      end(signal)
    }),
  ])
  const run = await begin(name)
  await cancelRun(run)
  await cancelled(run)
  expect(await jobOf(run)).toMatchObject({ attempt: 0, error: null })
  await endRun(run)
})

test('a cancel gets through while every other session of the worker waits for a lock', async () => {
  const others = await engine.begin(
    await engine.saveWorkflow(
      { functionName: 'CronJob', outputType: 'multiple' },
      { functionName: 'blocked', outputType: 'single' },
    ),
    Array.from({ length: 20 }),
  )
  const ids = (await engine.jobs(others)).filter(({ step }) => step === 1).map(({ id }) => id)
  await engine.query(`update workflow_job set status = 'hidden' where id = any ($1)`, [ids])
  const { fn, signals } = longFunction('reached')
  const worker = await engine.startWorker([fn, functionOf('blocked', () => null)], { worker: 'full' })
  await waitFor(() => worker.saw('delivery.dropped').length === ids.length)
  const run = await begin('reached')
  await waitFor(() => signals.length === 1)

  // As a worker that died leaves them: whoever gets one of their messages takes the job over first, and waits here.
  await engine.query(`update workflow_job set status = 'running' where id = any ($1)`, [ids])
  const holder = engine.em()
  await holder.begin()
  onTestFinished(async () => {
    if (holder.isInTransaction()) await holder.rollback()
  })
  await queryable(holder).query('select from workflow_job where id = any ($1) order by id for update', [ids])
  for (const jobId of ids) await engine.broker.publish('blocked', { jobId, seq: 1 })
  await waitFor(async () => (await waitingSessions('full')) > 0)
  const begun = performance.now()
  await cancelRun(run)
  await waitFor(() => signals[0]?.aborted)
  expect(performance.now() - begun).toBeLessThan(cancelMs)
  expect(await waitingSessions('full')).toBeGreaterThan(0)
  await holder.rollback()
  await cancelled(run)
  expect(await engine.over(others)).toBe('succeeded')
  await endRun(run)
})

const waitingSessions = async (worker: string): Promise<number> => {
  const rows = await engine.query(
    `select count(*)::int as count from pg_stat_activity
     where datname = current_database() and application_name = $1 and wait_event_type = 'Lock'`,
    [worker],
  )
  return z.tuple([z.object({ count: z.int() })]).parse(rows)[0].count
}

test('a long job that is at work shows as running under a claim, and ends with it', async () => {
  const { fn, signals, go } = longFunction('shows')
  await engine.startWorker([fn], { worker: 'shown' })
  const run = await begin('shows')
  await waitFor(async () => (await jobOf(run)).status === 'running')
  expect(await jobOf(run)).toMatchObject({ worker: 'shown', claim: expect.any(String), seq: 1 })
  go()
  expect(await engine.over(run)).toBe('succeeded')
  expect(signals[0]?.aborted).toBe(false)
})

test('a beat that fails ends no attempt: it is told and tried again, and the job is written once', async () => {
  const { fn, signals, go } = longFunction('cut')
  const worker = await engine.startWorker([fn], { databaseUrl: link().url })
  const run = await begin('cut')
  await waitFor(() => signals.length === 1)
  link().cut()
  await waitFor(() => worker.saw('beat.failed').length >= 2, { describe: 'two beats that fail' })
  expect(worker.saw('beat.failed')[0]).toMatchObject({ jobs: 1, reason: expect.any(String) })
  expect(signals[0]?.aborted).toBe(false)
  link().resume()
  await waitFor(async () => (await jobOf(run)).status === 'running')
  go()
  expect(await engine.over(run)).toBe('succeeded')
  expect(signals).toHaveLength(1)
})

test('a job whose beat was written but not answered ends under the claim that it has', async () => {
  const { fn, signals, go } = longFunction('unsure')
  const held = await holdCommits(engine.em(), `new.status = 'running'`)
  onTestFinished(held.release)
  const worker = await engine.startWorker([fn], { databaseUrl: link().url })
  const run = await begin('unsure')
  await waitFor(() => signals.length === 1)
  await waitFor(held.isHolding)
  link().pause()
  await held.release()
  await waitFor(async () => (await jobOf(run)).claim !== null)
  go()
  link().cut()
  await waitFor(() => worker.saw('beat.failed').length === 1)
  link().resume()
  expect(await engine.over(run)).toBe('succeeded')
  expect(await jobOf(run)).toMatchObject({ attempt: 1, output: 'done' })
  expect(worker.saw('delivery.dropped')).toEqual([])
})
