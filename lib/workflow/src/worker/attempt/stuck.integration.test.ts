import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import type { Engine } from '../../../test/engine.ts'
import { keepWorker } from '../../../test/keep-worker.ts'
import { useEngine } from '../../../test/use-engine.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

test('a worker whose places are taken for good ends, and the next one does what it could not', async () => {
  const worker = keepWorker(engine, ['hangs', 'works'], {
    ESTEIRA_PREFETCH: '1',
    NODE_OPTIONS: `--import=${new URL('../../../test/fast-minutes.ts', import.meta.url).href}`,
  })
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'hangs', outputType: 'single', timeoutMs: 200, retry: { maxAttempts: 1 } },
  )
  const never = { until: '/there/is/no/such/file' }
  const run = await engine.begin(workflow, [never, never, 'done'])
  await waitFor(() => worker.deaths.length > 0, { deadlineMs: 60_000, describe: () => worker.lines.slice(-5) })
  expect(worker.deaths).toEqual(['exit code 1'])
  expect(worker.saw('worker.stuck')).toMatchObject([{ functionName: 'hangs', running: 1 }])
  expect(await engine.over(run, 60_000)).toBe('failed')
  const jobs = (await engine.jobs(run)).slice(1)
  expect(jobs).toMatchObject([
    { status: 'failed', attempt: 1, error: { code: 'timed_out' } },
    { status: 'failed', attempt: 1, error: { code: 'timed_out' } },
    { status: 'succeeded', attempt: 1, output: 'done' },
  ])
  expect(await worker.stop()).toBe(0)
}, 180_000)
