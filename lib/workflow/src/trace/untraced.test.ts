import { spanContextOf } from '@esteira/service/trace'
import { context } from '@opentelemetry/api'
import { expect, test, vi } from 'vitest'
import * as z from 'zod'
import { aJob, aStep } from '../../test/a-job.ts'
import { callFunction } from '../function/call-function.ts'
import { defineFunction } from '../function/define-function.ts'
import { hideSecrets } from '../secrets/hide-secrets.ts'
import { beginTrace } from './begin-trace.ts'
import { inSpan } from './in-span.ts'
import { inProcessSpan } from '../worker/deliver/process-span.ts'
import { tracer } from './tracer.ts'

test('where nobody traces a job has its place all the same, and no span is made for it', async () => {
  const made = [vi.spyOn(tracer, 'startSpan'), vi.spyOn(tracer, 'startActiveSpan')]
  const { traceparent } = beginTrace(aJob, 'any', undefined)
  const created = spanContextOf(traceparent)
  expect(created?.traceFlags).toBe(0)
  const held = { ...aJob, traceparent, payload: null, cursor: null, accepted: null, step: aStep }
  const processed = await inProcessSpan(held, 0, (place) =>
    inSpan('function any', async (span) => {
      expect([place, span.isRecording()]).toEqual([created, false])
      return { kind: 'refused' }
    }),
  )
  expect(processed).toEqual({ kind: 'refused', place: created })
  for (const one of made) expect(one).not.toHaveBeenCalled()
})

test('where nobody traces a function is called without a context in which spans would hide its secrets', async () => {
  const entered = vi.spyOn(context, 'with')
  const silent = () => undefined
  const log = { debug: silent, info: silent, warn: silent, error: silent }
  const fn = defineFunction({ name: 'any', config: z.object({}), run: ({ payload }) => payload })
  const called = callFunction(
    fn,
    async () => ({}),
    hideSecrets(async () => ''),
    {
      payload: 'given',
      run: { id: aJob.runId, workflowId: aStep.workflowId },
      step: { id: aStep.id, name: aStep.name, outputType: 'single', hasNext: false },
      job: { id: aJob.id, revision: aJob.revision },
      attempt: 1,
      timeoutMs: 1_000,
      cursor: null,
      signal: new AbortController().signal,
      log,
      mostBytes: 1_000,
    },
  )
  expect(await called).toBe('given')
  expect(entered).not.toHaveBeenCalled()
})
