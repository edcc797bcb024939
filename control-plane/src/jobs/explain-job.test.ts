import { expect, test } from 'vitest'
import { explainJob, type Explanation } from './explain-job.ts'
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

const atWork = { status: 'running', worker: 'pod-2', startedMs: 4_000 } as const

const ofCancel: Explanation = {
  code: 'run_cancelling',
  text: 'Its run is being cancelled, and in a moment it is too.',
  sinceMs: null,
}

const kept = { place: 'outbox', lane: 'pod-1', reason: null, sinceMs: 3_000 } as const

test.each<[string, Partial<Standing>, Explanation]>([
  ['done', { status: 'succeeded', finishedMs: 9_000 }, { code: 'succeeded', text: 'It is done.', sinceMs: 9_000 }],
  [
    'failed',
    { status: 'failed', error: 'no such account', finishedMs: 9_000 },
    {
      code: 'failed',
      text: 'It failed: no such account. A POST to its /retry sends it again, and its /attempts lists what was tried.',
      sinceMs: 9_000,
    },
  ],
  [
    'failed without an error',
    { status: 'failed', finishedMs: 9_000 },
    {
      code: 'failed',
      text: 'It failed. A POST to its /retry sends it again, and its /attempts lists what was tried.',
      sinceMs: 9_000,
    },
  ],
  [
    'cancelled',
    { status: 'cancelled', finishedMs: 9_000 },
    { code: 'cancelled', text: 'It was cancelled, or its run was.', sinceMs: 9_000 },
  ],
  ['in a run that is cancelled', { runStatus: 'cancelling', kept }, ofCancel],
  ['behind its window in a run that is cancelled', { status: 'staged', ahead: 1, runStatus: 'cancelling' }, ofCancel],
  [
    'behind its window',
    { status: 'staged', ahead: 1, belt: 2_000 },
    {
      code: 'waits_for_room',
      text: 'It waits for room: of its run and step 2,000 jobs are on the belt, and 1 job is before it.',
      sinceMs: 1_000,
    },
  ],
  [
    'the first behind its window',
    { status: 'staged', ahead: null, belt: 1 },
    {
      code: 'waits_for_room',
      text: 'It waits for room: of its run and step 1 job is on the belt, and 0 jobs are before it.',
      sinceMs: 1_000,
    },
  ],
  [
    'in the outbox',
    { kept },
    {
      code: 'waits_for_relay',
      text: 'Its message is in the outbox, in the lane pod-1: it is published when that has a relay and RabbitMQ answers.',
      sinceMs: 3_000,
    },
  ],
  [
    'in a lane that is no more in the register',
    { kept: { ...kept, lane: null } },
    {
      code: 'waits_for_relay',
      text: 'Its message is in the outbox, in the lane of a relay that is gone: it is published when that has a relay and RabbitMQ answers.',
      sinceMs: 3_000,
    },
  ],
  [
    'put off',
    { kept: { ...kept, place: 'scheduled' }, dueMs: 60_000, isLater: true },
    {
      code: 'waits_for_its_time',
      text: 'It is tried again at 1970-01-01T00:01:00.000Z: it was put off, or an attempt failed.',
      sinceMs: 3_000,
    },
  ],
  [
    'put off until just now',
    { kept: { ...kept, place: 'scheduled' }, dueMs: 60_000 },
    {
      code: 'waits_for_relay',
      text: 'It was due at 1970-01-01T00:01:00.000Z, and its message is published when its lane has a relay and RabbitMQ answers.',
      sinceMs: 3_000,
    },
  ],
  [
    'put off until nobody knows when',
    { kept: { ...kept, place: 'scheduled' }, isLater: true },
    {
      code: 'waits_for_its_time',
      text: 'It is tried again later: it was put off, or an attempt failed.',
      sinceMs: 3_000,
    },
  ],
  [
    'refused by RabbitMQ',
    { kept: { ...kept, place: 'parked', reason: 'the queue is full' } },
    {
      code: 'parked',
      text: 'RabbitMQ went on refusing its message (the queue is full): it is parked until it is retried.',
      sinceMs: 3_000,
    },
  ],
  [
    'refused by RabbitMQ without a word',
    { kept: { ...kept, place: 'parked' } },
    {
      code: 'parked',
      text: 'RabbitMQ went on refusing its message (no reason): it is parked until it is retried.',
      sinceMs: 3_000,
    },
  ],
  [
    'published',
    {},
    {
      code: 'in_queue',
      text: 'Its message is in the queue Work, or with a worker that began with it in this moment. With no worker there, nobody takes it.',
      sinceMs: 2_000,
    },
  ],
  [
    'noted for a probe',
    { probe: { round: 1, isSeen: true } },
    {
      code: 'looked_for',
      text: 'It has waited for long, so it is looked for: probe 1 of 2 has come out of its queue. If its message is lost, it is sent again.',
      sinceMs: 2_000,
    },
  ],
  [
    'noted for a probe that is on its way',
    { probe: { round: 2, isSeen: false } },
    {
      code: 'looked_for',
      text: 'It has waited for long, so it is looked for: probe 2 of 2 is to come out of its queue. If its message is lost, it is sent again.',
      sinceMs: 2_000,
    },
  ],
  // What is there of its message is known; a probe only asks.
  [
    'noted for a probe with its message in the outbox',
    { kept, probe: { round: 1, isSeen: false } },
    {
      code: 'waits_for_relay',
      text: 'Its message is in the outbox, in the lane pod-1: it is published when that has a relay and RabbitMQ answers.',
      sinceMs: 3_000,
    },
  ],
  ['at work', { ...atWork, silentMs: 60_000 }, { code: 'running', text: 'It runs in pod-2.', sinceMs: 4_000 }],
  [
    'at work where nobody beats yet',
    { ...atWork, worker: null },
    { code: 'running', text: 'It runs in a worker.', sinceMs: 4_000 },
  ],
  [
    'at work in a pod that is gone',
    { ...atWork, silentMs: 60_600 },
    {
      code: 'worker_silent',
      text: 'It ran in pod-2, which has said nothing of it for 61 s. Another takes it over when RabbitMQ hands its message out again.',
      sinceMs: 4_000,
    },
  ],
])('a job that is %s is explained', (_, change, explained) => {
  expect(explainJob({ ...queued, ...change })).toEqual(explained)
})
