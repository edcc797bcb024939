import { expect, test } from 'vitest'
import type { FoundJob } from '../job/find-jobs.ts'
import type { StepOfRun } from '../job/held-job.ts'
import { stepCache } from './caches.ts'

const step: StepOfRun = {
  id: 'step',
  version: 1,
  workflowId: 'workflow',
  name: 'work',
  functionName: 'Work',
  config: {},
  outputType: null,
  retry: {},
  timeoutMs: null,
  next: null,
}

const jobOf = (version: number, stepId = 'step'): FoundJob => ({
  id: 'job',
  runId: 'run',
  stepId,
  status: 'queued',
  seq: 1,
  attempt: 0,
  claim: null,
  payload: null,
  traceparent: 'trace',
  workflowId: 'workflow',
  version,
})

test('jobs of a version that come at the same moment read its steps once', async () => {
  const reads: number[] = []
  const stepOf = stepCache(async (_, version) => {
    reads.push(version)
    return [step]
  })
  expect(await Promise.all(Array.from({ length: 100 }, () => stepOf(jobOf(1))))).toEqual(
    Array.from({ length: 100 }, () => step),
  )
  await stepOf(jobOf(2))
  expect(reads).toEqual([1, 2])
})

test('a step that the version does not have is undefined', async () => {
  expect(await stepCache(async () => [step])(jobOf(1, 'other'))).toBeUndefined()
})

test('a read that failed is not kept', async () => {
  let reads = 0
  const stepOf = stepCache(async () => {
    reads += 1
    if (reads === 1) throw new Error('away')
    return [step]
  })
  await expect(stepOf(jobOf(1))).rejects.toThrow('away')
  expect(await stepOf(jobOf(1))).toBe(step)
})
