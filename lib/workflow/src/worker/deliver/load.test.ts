import { expect, test } from 'vitest'
import * as z from 'zod'
import { defineFunction } from '../../function/define-function.ts'
import type { FoundJob } from '../../job/find-jobs.ts'
import type { StepOfRun } from '../../job/held-job.ts'
import { jobStatuses } from '../../model/job-status.ts'
import { aJob, aStep } from '../../../test/a-job.ts'
import { readDelivery } from './load.ts'

const fn = defineFunction({ name: 'Work', config: z.looseObject({}), run: () => undefined })

const found: FoundJob = {
  id: 'job',
  runId: 'run',
  stepId: 'step',
  status: 'queued',
  seq: 2,
  attempt: 1,
  revision: 3,
  claim: null,
  payload: undefined,
  emitted: 0,
  cursor: null,
  accepted: null,
  traceparent: 'trace',
  workflowId: 'workflow',
  version: 3,
  runStatus: 'running',
}

const step: StepOfRun = { ...aStep, version: 3 }

const delivery = { reference: { jobId: 'job', seq: 2 }, redelivered: false, deliveries: 0 }

const { revision: _, ...job } = aJob
const onBelt = { ...job, seq: 2, attempt: 1 }

test('a first delivery of a waiting job is to be run as it is', () => {
  expect(readDelivery(found, step, delivery, fn)).toEqual({
    kind: 'run',
    job: { ...onBelt, revision: 3, payload: null, cursor: null, accepted: null, step },
    isTakeover: false,
  })
})

test('a message that came before, and a job that runs already, is to be taken over', () => {
  expect(readDelivery(found, step, { ...delivery, redelivered: true }, fn)).toMatchObject({ isTakeover: true })
  expect(readDelivery({ ...found, status: 'running' }, step, delivery, fn)).toMatchObject({ isTakeover: true })
})

test('a message of no job, or of another generation than the newest, is dropped', () => {
  expect(readDelivery(undefined, undefined, delivery, fn)).toEqual({ kind: 'drop', reason: 'unknown job' })
  for (const seq of [1, 3]) {
    expect(readDelivery({ ...found, seq }, step, delivery, fn)).toEqual({ kind: 'drop', reason: 'older message' })
  }
})

test('a job is run only while it is on the belt, and any other status says why not', () => {
  const taken = jobStatuses.map((status) => {
    const { kind, ...rest } = readDelivery({ ...found, status }, step, delivery, fn)
    return [status, kind === 'drop' && 'reason' in rest ? rest.reason : kind]
  })
  expect(Object.fromEntries(taken)).toEqual({
    hidden: 'job is not on the belt',
    staged: 'job is not on the belt',
    queued: 'run',
    running: 'run',
    succeeded: 'job is over',
    failed: 'job is over',
    cancelled: 'job is over',
  })
})

test('a job that is in the queue of another function is dropped', () => {
  const other = { ...step, functionName: 'Other' }
  expect(readDelivery(found, other, delivery, fn)).toEqual({ kind: 'drop', reason: 'queue of another function' })
})

test('a job of a run that is being cancelled ends cancelled without an attempt, whoever held it before', () => {
  const cancelling: FoundJob = { ...found, runStatus: 'cancelling' }
  const end = { kind: 'end', job: onBelt, ending: { kind: 'cancelled' } }
  expect(readDelivery(cancelling, step, delivery, fn)).toEqual(end)
  expect(readDelivery(cancelling, undefined, delivery, fn)).toEqual(end)
  expect(readDelivery({ ...cancelling, status: 'running', claim: 'theirs' }, step, delivery, fn)).toEqual({
    ...end,
    job: { ...onBelt, claim: 'theirs' },
  })
  expect(readDelivery({ ...cancelling, status: 'failed' }, step, delivery, fn)).toMatchObject({ kind: 'drop' })
})

test('a job whose step is gone ends failed', () => {
  expect(readDelivery(found, undefined, delivery, fn)).toEqual({
    kind: 'end',
    job: onBelt,
    ending: {
      kind: 'failed',
      error: { code: 'step_unknown', message: 'version 3 of workflow workflow has no step step' },
    },
  })
})
