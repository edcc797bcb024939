import { spanContextOf } from '@esteira/service/trace'
import { expect, test, vi } from 'vitest'
import { aJob, aStep } from '../../test/a-job.ts'
import { beginTrace } from './begin-trace.ts'
import { inSpan } from './in-span.ts'
import { inProcessSpan } from './process-span.ts'
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
