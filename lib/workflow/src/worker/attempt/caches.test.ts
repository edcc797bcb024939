import { expect, test } from 'vitest'
import type { FoundJob } from '../../job/find-jobs.ts'
import { aStep } from '../../../test/a-job.ts'
import { stepCache } from './caches.ts'

const jobOf = (version: number, stepId = 'step'): FoundJob => ({
  id: 'job',
  runId: 'run',
  stepId,
  status: 'queued',
  seq: 1,
  attempt: 0,
  revision: 0,
  claim: null,
  payload: null,
  emitted: 0,
  cursor: null,
  accepted: null,
  traceparent: 'trace',
  workflowId: 'workflow',
  version,
  runStatus: 'running',
})

test('jobs of a version that come at the same moment read its steps once', async () => {
  const reads: number[] = []
  const stepOf = stepCache(async (_, version) => {
    reads.push(version)
    return [aStep]
  })
  expect(await Promise.all(Array.from({ length: 100 }, () => stepOf(jobOf(1))))).toEqual(
    Array.from({ length: 100 }, () => aStep),
  )
  await stepOf(jobOf(2))
  expect(reads).toEqual([1, 2])
})

test('a step that the version does not have is undefined', async () => {
  expect(await stepCache(async () => [aStep])(jobOf(1, 'other'))).toBeUndefined()
})

test('a read that failed is not kept', async () => {
  let reads = 0
  const stepOf = stepCache(async () => {
    reads += 1
    if (reads === 1) throw new Error('away')
    return [aStep]
  })
  await expect(stepOf(jobOf(1))).rejects.toThrow('away')
  expect(await stepOf(jobOf(1))).toBe(aStep)
})
