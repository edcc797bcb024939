import { startProxy, waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { beginJobs } from '../../test/begin-jobs.ts'
import { type Engine, functionOf } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** A function that ends when `go` is called, and the signals that it was called with. */
const gated = (name: string) => {
  const gate = Promise.withResolvers<void>()
  const calls: AbortSignal[] = []
  const fn = functionOf(name, async ({ payload, signal }) => {
    calls.push(signal)
    await gate.promise
    return `${name} ${String(payload)}`
  })
  return { fn, calls, go: gate.resolve }
}

test('a worker that is stopped takes no new jobs, ends what it holds and acks it', async () => {
  const { fn, calls, go } = gated('ends')
  const worker = await engine.startWorker([fn], { prefetch: 2, graceMs: 10_000 })
  const run = await beginJobs(engine, 'ends', [1, 2, 3])
  await waitFor(() => calls.length === 2)
  const stopping = worker.stop()
  // Nobody consumes any more: the third job has a place, but nobody to take it.
  go()
  await stopping
  expect(worker.saw('job.written')).toHaveLength(2)
  expect(calls).toHaveLength(2)
  expect(await engine.broker.count('ends')).toBe(1)
  const [, ...jobs] = await engine.jobs(run)
  expect(jobs.map(({ status }) => status).toSorted(byText)).toEqual(['queued', 'succeeded', 'succeeded'])

  await engine.startWorker([fn])
  expect(await engine.over(run)).toBe('succeeded')
  expect(calls).toHaveLength(3)
})

const byText = (a: string, b: string) => a.localeCompare(b)

test.each([0, 200])(
  'what does not end in a grace period of %i ms is handed back, and the next worker does it',
  async (graceMs) => {
    const name = `outlives ${graceMs}`
    const { fn, calls, go } = gated(name)
    const worker = await engine.startWorker([fn, functionOf(`${name} idle`, () => undefined)], { graceMs })
    const run = await beginJobs(engine, name, ['work'])
    await waitFor(() => calls.length === 1)
    const begun = performance.now()
    await worker.stop()
    expect(performance.now() - begun).toBeGreaterThanOrEqual(graceMs)
    expect(performance.now() - begun).toBeLessThan(graceMs + 3_000)
    // The queue needs a moment to have it back.
    await waitFor(async () => (await engine.broker.count(name)) === 1)
    expect(calls.map(({ aborted }) => aborted)).toEqual([true])
    const reason = expect.stringContaining('1 deliveries were not done')
    expect(worker.saw('belt.fault')).toMatchObject([{ queue: name, reason }])
    go()
    await waitFor(() => worker.saw('delivery.handed-back').length === 1)

    await engine.startWorker([functionOf(name, () => 'by the next')], { worker: 'next' })
    expect(await engine.over(run)).toBe('succeeded')
    expect((await engine.jobs(run))[1]).toMatchObject({ output: 'by the next', worker: 'next', attempt: 1 })
    expect(await engine.untrueCounters()).toEqual([])
  },
)

test('a worker that is stopped while Postgres is away does not wait for it beyond the grace period', async () => {
  const link = await startProxy(engine.databaseUrl)
  const { fn, calls, go } = gated('homeless')
  const worker = await engine.startWorker([fn], { databaseUrl: link.url, graceMs: 300 })
  const run = await beginJobs(engine, 'homeless', ['work'])
  await waitFor(() => calls.length === 1)
  link.cut()
  go()
  await waitFor(() => worker.saw('database.unavailable').length > 0)
  await worker.stop()
  await link.stop()
  await waitFor(async () => (await engine.broker.count('homeless')) === 1)
  await engine.startWorker([functionOf('homeless', () => 'by the next')])
  expect(await engine.over(run)).toBe('succeeded')
  expect((await engine.jobs(run))[1]).toMatchObject({ output: 'by the next', attempt: 1 })
})

test('a worker that is stopped while Postgres is silent ends soon after the grace period and says which job it left', async () => {
  const link = await startProxy(engine.databaseUrl)
  const { fn, calls, go } = gated('unheard')
  const worker = await engine.startWorker([fn], { databaseUrl: link.url, graceMs: 300 })
  const run = await beginJobs(engine, 'unheard', ['work'])
  await waitFor(() => calls.length === 1)
  link.pause()
  go()
  const begun = performance.now()
  await worker.stop()
  expect(performance.now() - begun).toBeLessThan(4_000)
  await waitFor(() => worker.saw('delivery.handed-back').length === 1 && link.connections() === 0)
  const [, left] = await engine.jobs(run)
  expect(worker.saw('delivery.handed-back')).toMatchObject([{ functionName: 'unheard', jobId: left?.id }])
  await link.stop()
  await engine.startWorker([functionOf('unheard', () => 'by the next')])
  expect(await engine.over(run)).toBe('succeeded')
})
