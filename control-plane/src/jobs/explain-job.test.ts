import { expect, test } from 'vitest'
import { explainJob } from './explain-job.ts'
import type { Standing } from './read-standing.ts'

const queued: Standing = {
  status: 'queued',
  runStatus: 'running',
  functionName: 'Work',
  worker: null,
  error: null,
  createdMs: 1_000,
  enqueuedMs: 2_000,
  dueMs: null,
  isLater: false,
  startedMs: null,
  finishedMs: null,
  silentMs: null,
  belt: 7,
  ahead: null,
  kept: null,
  probe: null,
}

const kept = { place: 'outbox', lane: 'pod-1', reason: null, sinceMs: 3_000 } as const

test.each<[string, Partial<Standing>, { code: string; text: RegExp; sinceMs: number | null }]>([
  ['done', { status: 'succeeded', finishedMs: 9_000 }, { code: 'succeeded', text: /done/, sinceMs: 9_000 }],
  [
    'failed',
    { status: 'failed', error: 'no such account', finishedMs: 9_000 },
    { code: 'failed', text: /^It failed: no such account\. .*\/retry.*\/attempts/, sinceMs: 9_000 },
  ],
  ['cancelled', { status: 'cancelled', finishedMs: 9_000 }, { code: 'cancelled', text: /cancelled/, sinceMs: 9_000 }],
  ['in a run that is cancelled', { runStatus: 'cancelling' }, { code: 'run_cancelling', text: /run/, sinceMs: null }],
  [
    'behind its window in a run that is cancelled',
    { status: 'staged', ahead: 1, runStatus: 'cancelling' },
    { code: 'run_cancelling', text: /run/, sinceMs: null },
  ],
  [
    'behind its window',
    { status: 'staged', ahead: 1, belt: 2_000 },
    { code: 'waits_for_room', text: /2,000 jobs are on the belt, and 1 job is before it/, sinceMs: 1_000 },
  ],
  ['in the outbox', { kept }, { code: 'waits_for_relay', text: /lane pod-1.*relay/, sinceMs: 3_000 }],
  [
    'put off',
    { kept: { ...kept, place: 'scheduled' }, dueMs: 60_000, isLater: true },
    { code: 'waits_for_its_time', text: /tried again at 1970-01-01T00:01:00\.000Z/, sinceMs: 3_000 },
  ],
  [
    'put off until just now',
    { kept: { ...kept, place: 'scheduled' }, dueMs: 60_000 },
    { code: 'waits_for_relay', text: /was due at 1970-01-01T00:01:00\.000Z.*relay/, sinceMs: 3_000 },
  ],
  [
    'refused by RabbitMQ',
    { kept: { ...kept, place: 'parked', reason: 'the queue is full' } },
    { code: 'parked', text: /the queue is full/, sinceMs: 3_000 },
  ],
  ['published', {}, { code: 'in_queue', text: /queue Work/, sinceMs: 2_000 }],
  [
    'noted for a probe',
    { probe: { round: 2, isSeen: false } },
    { code: 'looked_for', text: /probe 2 of 2 is to come/, sinceMs: 2_000 },
  ],
  [
    'at work',
    { status: 'running', worker: 'pod-2', startedMs: 4_000, silentMs: 5_000 },
    { code: 'running', text: /pod-2/, sinceMs: 4_000 },
  ],
  [
    'at work in a pod that is gone',
    { status: 'running', worker: 'pod-2', startedMs: 4_000, silentMs: 95_000 },
    { code: 'worker_silent', text: /pod-2.* 95 s/, sinceMs: 4_000 },
  ],
])('a job that is %s is explained', (_, change, { code, text, sinceMs }) => {
  expect(explainJob({ ...queued, ...change })).toEqual({ code, text: expect.stringMatching(text), sinceMs })
})
