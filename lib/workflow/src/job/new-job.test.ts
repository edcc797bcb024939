import { expect, test } from 'vitest'
import { jobMessage, newJob } from './new-job.ts'

const of = { runId: 'run-1', stepId: 'step-1', parentId: null, itemIndex: null, payload: null }
const place = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331'
const job = { id: 'job-1', runId: 'run-1', stepId: 'step-1', seq: 1 }

test('without traces a job has a trace of its own all the same, which says that nobody records it', () => {
  const [first, second] = [newJob(of, 'Work'), newJob(of, 'Work')]
  for (const { traceparent } of [first, second]) {
    expect(traceparent).toMatch(/^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-00$/)
  }
  expect(first.traceparent.slice(3, 35)).not.toBe(second.traceparent.slice(3, 35))
})

test('a message carries its trace as it is, and whose it is if the trace is recorded', () => {
  expect(jobMessage('Work', { ...job, traceparent: `${place}-01` })).toMatchObject({
    headers: {
      traceparent: `${place}-01`,
      baggage: 'esteira.run.id=run-1,esteira.job.id=job-1,esteira.step.id=step-1',
    },
  })
  expect(jobMessage('Work', { ...job, traceparent: `${place}-00` }).headers).toEqual({ traceparent: `${place}-00` })
})
