import { randomUUID } from 'node:crypto'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { watchCounters } from '../../test/watch-counters.ts'
import { beginCancel } from './cancel-run.ts'
import { retryRun } from './retry-run.ts'
import { releaseWaitingJobs } from './settle/release.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** A run of which every other job failed; all that are tried once `mend` was called succeed. */
const halfFailed = async (name: string, jobs: number) => {
  let isMended = false
  const fn = functionOf(name, ({ payload }) => {
    if (!isMended && Number(payload) % 2 === 1) throw Object.assign(new Error('not yet'), { final: true })
    return payload
  })
  await engine.startWorker([fn], { window: 4 })
  const run = await engine.begin(
    await engine.saveWorkflow(
      { functionName: 'CronJob', outputType: 'multiple' },
      { functionName: name, outputType: 'single' },
    ),
    Array.from({ length: jobs }, (_, index) => index),
  )
  expect(await engine.over(run)).toBe('failed')
  const mend = () => {
    isMended = true
  }
  return { run, mend, jobs: async () => (await engine.jobs(run)).filter(({ step }) => step === 1) }
}

const retry = (run: string, more: { groupSize?: number; window?: number } = {}) =>
  retryRun(engine.em(), run, { lane: engine.laneId, ...more })

test('all failed jobs of a run are sent again, group by group, within the window, and no others', async () => {
  const { run, mend, jobs } = await halfFailed('mended', 25)
  mend()
  const watch = watchCounters(engine, 4)
  expect(await retry(run, { groupSize: 5, window: 4 })).toEqual({ jobs: 12 })
  await waitFor(async () => {
    await releaseWaitingJobs(engine.em(), { lane: engine.laneId, window: 4 })
    return (await engine.statusOf(run)) === 'succeeded'
  })
  expect((await watch.stop()).seen).toEqual([])
  expect((await jobs()).map(({ status, output }) => [status, output])).toEqual(
    Array.from({ length: 25 }, (_, index) => ['succeeded', index]),
  )
  expect(await engine.query(`select sum(revision)::int as sent from workflow_job where run_id = $1`, [run])).toEqual([
    { sent: 12 },
  ])
})

test('each is sent once a call, though it fails again, and the run with it', async () => {
  const { run, jobs } = await halfFailed('stubborn', 6)
  expect(await retry(run, { groupSize: 1 })).toEqual({ jobs: 3 })
  expect(await engine.over(run)).toBe('failed')
  expect((await jobs()).map(({ status }) => status)).toEqual(
    Array.from({ length: 6 }, (_, index) => (index % 2 === 0 ? 'succeeded' : 'failed')),
  )
  expect(await engine.query(`select max(revision) as most from workflow_job where run_id = $1`, [run])).toEqual([
    { most: 1 },
  ])
})

test('of two who send a run again each job is sent by one', async () => {
  const { run, mend } = await halfFailed('together', 20)
  mend()
  await engine.stopWorkers()
  const sent = await Promise.all([retry(run, { groupSize: 3 }), retry(run, { groupSize: 3 })])
  expect(sent.reduce((sum, one) => sum + (typeof one !== 'string' && 'jobs' in one ? one.jobs : 0), 0)).toBe(10)
  expect(await engine.untrueCounters()).toEqual([])
  await engine.startWorker([functionOf('together', ({ payload }) => payload)])
  expect(await engine.over(run)).toBe('succeeded')
})

test('a run without failed jobs stays over, a cancelled one cancelled, a failed tick failed, and one may be unknown', async () => {
  const good = await succeeded('good')
  expect(await retry(good)).toEqual({ jobs: 0 })
  expect(await engine.statusOf(good)).toBe('succeeded')
  const tick = await engine.begin(
    await engine.saveWorkflow({ functionName: 'CronJob', outputType: 'multiple' }),
    'no array',
  )
  expect(await retry(tick)).toEqual({ jobs: 0 })
  expect(await engine.statusOf(tick)).toBe('failed')
  expect(await retry(randomUUID())).toBe('run unknown')
  const cancelled = await succeeded('cancelled', false)
  await beginCancel(engine.em(), cancelled)
  expect(await retry(cancelled)).toBe('run cancelled')
})

/** A run of one job that succeeds, or that nobody takes. */
const succeeded = async (name: string, isTaken = true): Promise<string> => {
  const run = await engine.begin(await engine.saveWorkflow({ functionName: name, outputType: 'single' }), 1)
  if (!isTaken) return run
  await engine.startWorker([functionOf(name, () => 1)])
  expect(await engine.over(run)).toBe('succeeded')
  return run
}
