import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { watchCounters } from '../../test/watch-counters.ts'
import { retry } from '../index.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

test('while eight workers are on one run, whoever looks finds true counters, and nothing lost or doubled', async () => {
  const functions = [
    functionOf('load.split', ({ payload }) => Array.from({ length: 20 }, (_, index) => [payload, index])),
    functionOf('load.work', ({ payload, attempt }) => {
      const [, index] = Array.isArray(payload) ? payload : []
      if (index === 3 && attempt === 1) return retry('once more')
      if (index === 7) throw Object.assign(new Error('never'), { final: true })
      return index === 11 ? 'NUL \u0000' : payload
    }),
    functionOf('load.end', () => undefined),
  ]
  for (let by = 0; by < 8; by += 1) await engine.startWorker(functions, { worker: `worker ${by}`, prefetch: 20 })
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'load.split', outputType: 'multiple' },
    { functionName: 'load.work', outputType: 'single', retry: { backoff: 'fixed', delayMs: 0 } },
    { functionName: 'load.end', outputType: null },
  )
  const watch = watchCounters(engine)
  const run = await engine.begin(
    workflow,
    Array.from({ length: 20 }, (_, index) => index),
  )
  expect(await engine.over(run)).toBe('failed')
  const { looks, seen } = await watch.stop()
  expect(seen).toEqual([])
  expect(looks).toBeGreaterThan(10)
  const jobs = await engine.jobs(run)
  const statuses = (step: number) => jobs.filter((job) => job.step === step).map(({ status }) => status)
  expect(statuses(2).filter((status) => status === 'failed')).toHaveLength(40)
  expect(statuses(3)).toEqual(Array.from({ length: 360 }, () => 'succeeded'))
})
