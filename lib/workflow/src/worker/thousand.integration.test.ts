import { randomUUID } from 'node:crypto'
import { countStatements } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { type Engine, functionOf, laneName } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { workerOptions } from '../../test/worker-options.ts'
import { deliverMeans } from './deliver/deliver-means.ts'
import { load } from './deliver/load.ts'
import { openPools } from './pools.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const fn = functionOf('thousand', () => undefined)

/** What a worker delivers by, without a worker. */
const openMeans = () => {
  const { databaseUrl } = engine
  const options = workerOptions({ databaseUrl, functions: [fn], lane: laneName, prefetch: 1_000 })
  const pools = openPools(options, new AbortController().signal)
  onTestFinished(() => pools.close())
  return deliverMeans(pools, engine.laneId, options, new AbortController().signal).means
}

test('a thousand deliveries of one moment are loaded by ten statements, and taken over by ten', async () => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: fn.name, outputType: null },
  )
  const run = await engine.begin(
    workflow,
    Array.from({ length: 1_000 }, (_, index) => index),
  )
  const [, ...jobs] = await engine.jobs(run)
  expect(jobs).toHaveLength(1_000)
  const means = openMeans()
  const loading = countStatements('workflow_')
  const taken = await Promise.all(
    jobs.map(({ id, seq }) => load(fn, { reference: { jobId: id, seq }, redelivered: true, deliveries: 1 }, means)),
  )
  const held = taken.flatMap((one) => (one.kind === 'run' && one.isTakeover ? [one.job] : []))
  expect(held.map(({ payload }) => payload)).toEqual(jobs.map(({ payload }) => payload))
  expect(loading()).toBeLessThanOrEqual(10)

  const claiming = countStatements('workflow_')
  const claimed = await Promise.all(held.map((job) => means.claim({ job, next: randomUUID(), sinceMs: null })))
  expect(claimed.every(Boolean)).toBe(true)
  expect(claiming()).toBeLessThanOrEqual(10)

  // Their messages are still there: a worker ends them.
  await engine.startWorker([fn])
  expect(await engine.over(run)).toBe('succeeded')
})
