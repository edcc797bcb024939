import { expect, test } from 'vitest'
import * as z from 'zod'
import { defineFunction } from '../function/define-function.ts'
import type { HeldJob } from '../job/held-job.ts'
import { attemptJob } from './attempt.ts'

const silent = () => undefined

const job: HeldJob = {
  id: 'job',
  runId: 'run',
  stepId: 'step',
  functionName: 'Work',
  seq: 1,
  claim: null,
  attempt: 0,
  traceparent: 'trace',
  payload: null,
  step: {
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
  },
}

test('a job that is lost before its attempt begins is not run', async () => {
  let calls = 0
  const fn = defineFunction({
    name: 'Work',
    config: z.looseObject({}),
    run: () => {
      calls += 1
      return new Promise(() => undefined)
    },
  })
  const ending = await attemptJob(job, {
    fn,
    config: async () => ({}),
    secrets: async () => '',
    log: { debug: silent, info: silent, warn: silent, error: silent },
    lost: AbortSignal.abort(new Error('taken over')),
    random: () => 0,
  })
  expect(ending).toMatchObject({ kind: 'requeued', error: { message: 'taken over' } })
  expect(calls).toBe(0)
})
