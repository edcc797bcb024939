import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { beginJobs } from '../../test/begin-jobs.ts'
import { type Engine, functionOf } from '../../test/engine.ts'
import { keepWorker } from '../../test/keep-worker.ts'
import { useEngine } from '../../test/use-engine.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** How many jobs of a run each worker has ended. */
const endedBy = async (run: string): Promise<Record<string, number>> => {
  const rows = await engine.query(
    `select worker, count(*)::int as jobs from workflow_job
     where run_id = $1 and parent_id is not null and status = 'succeeded' group by worker`,
    [run],
  )
  const counted = z.array(z.object({ worker: z.string(), jobs: z.int() })).parse(rows)
  return Object.fromEntries(counted.map(({ worker, jobs }) => [worker, jobs]))
}

const ended = async (run: string): Promise<number> =>
  Object.values(await endedBy(run)).reduce((sum, jobs) => sum + jobs, 0)

/** Fewer than a window holds: each has a message at once. */
const loaded = 1_900

test('a worker that is told to end under load says 0, leaves nothing that it wrote in a queue, and the next one goes on', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'esteira-told-to-end-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const [soon, never] = [join(folder, 'soon'), join(folder, 'never')]
  const worker = keepWorker(engine, ['load', 'ends', 'outlives'], {
    ESTEIRA_GRACE_MS: '10000',
    ESTEIRA_PREFETCH: '50',
    ESTEIRA_LOG_LEVEL: 'info',
  })
  const slow = [
    await beginJobs(
      engine,
      'ends',
      Array.from({ length: 10 }, () => ({ until: soon })),
    ),
    await beginJobs(
      engine,
      'outlives',
      Array.from({ length: 20 }, () => ({ until: never })),
    ),
  ]
  const begun = () => engine.query(`select from workflow_job where status = 'running' and worker = 'engine'`)
  await waitFor(async () => (await begun()).length === 30, { deadlineMs: 60_000, describe: begun })
  const load = await beginJobs(
    engine,
    'load',
    Array.from({ length: loaded }, (_, index) => index),
  )
  await waitFor(async () => ((await endedBy(load))['engine'] ?? 0) > 0, { deadlineMs: 60_000 })

  const stopped = worker.stop()
  // All of the load is either done or back in the queue, so it takes nothing more.
  const isDraining = async () => (await ended(load)) + (await engine.broker.count('load')) === loaded
  await waitFor(isDraining, { deadlineMs: 60_000, describe: 'each of the load to be written or in its queue' })
  writeFileSync(soon, '')
  expect(await stopped).toBe(0)
  expect(worker.deaths).toEqual([])
  expect((await endedBy(load))['engine']).toBeLessThan(loaded)

  const heir = await engine.startWorker(
    ['load', 'ends', 'outlives'].map((name) => functionOf(name, () => 'by the heir')),
    { worker: 'heir' },
  )
  for (const run of [load, ...slow]) expect(await engine.over(run)).toBe('succeeded')
  const [ends, outlives] = await Promise.all(slow.map(endedBy))
  expect([ends, outlives]).toEqual([{ engine: 10 }, { heir: 20 }])
  expect(await ended(load)).toBe(loaded)
  // One that was written and came again all the same would have been dropped.
  expect(heir.saw('delivery.dropped')).toEqual([])
  const tried = await engine.query(`select from workflow_job where attempt <> 1`)
  expect(tried).toEqual([])
}, 180_000)
