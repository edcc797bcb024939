import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, functionOf, type StepDraft } from '../../../test/engine.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { fail, retry, snooze } from '../../index.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const hourMs = 3_600_000

/** Begins a run of one step. */
const begin = async (functionName: string, step: Partial<StepDraft> = {}, payload: unknown = null): Promise<string> =>
  engine.begin(await engine.saveWorkflow({ functionName, outputType: 'single', ...step }), payload)

/** Waits until the run's one job has ended a try, and gives it. */
const triedJob = (run: string, attempts: number) =>
  waitFor(async () => {
    const [job] = await engine.jobs(run)
    return job !== undefined && job.seq > attempts && job
  })

/** Makes what was put off due now. */
const bringForward = () => engine.query(`update outbox_scheduled set available_at = now()`)

test('what a function throws is tried again later: seq and attempt rise, the error is kept, in the end by the history', async () => {
  const attempts: number[] = []
  await engine.startWorker([
    functionOf('throws', ({ attempt }) => {
      attempts.push(attempt)
      if (attempt === 1) throw Object.assign(new Error('the API is not itself'), { code: 'api_down' })
      return 'done'
    }),
  ])
  const run = await begin('throws', { retry: { backoff: 'fixed', delayMs: hourMs, maxDelayMs: hourMs } })
  const waiting = await triedJob(run, 1)
  expect(waiting).toMatchObject({
    status: 'queued',
    seq: 2,
    attempt: 1,
    claim: null,
    error: { code: 'api_down', message: 'the API is not itself' },
  })
  expect(waiting.dueInMs).toBeGreaterThan(hourMs * 0.79)
  expect(waiting.dueInMs).toBeLessThan(hourMs)
  expect(await engine.untrueCounters()).toEqual([])
  expect(await engine.outboxRows()).toBe(1)
  await bringForward()
  expect(await engine.over(run)).toBe('succeeded')
  expect(await engine.jobs(run)).toMatchObject([
    { status: 'succeeded', seq: 2, attempt: 2, error: null, output: 'done' },
  ])
  expect(attempts).toEqual([1, 2])
  expect(await engine.attempts(waiting.id)).toMatchObject([
    { seq: 1, attempt: 1, outcome: 'retried', times: 1, error: { code: 'api_down' }, worker: 'worker' },
  ])
})

test('a job that fails in every try ends failed after the last one, with the last error', async () => {
  const attempts: number[] = []
  await engine.startWorker([
    functionOf('stubborn', ({ attempt }) => {
      attempts.push(attempt)
      throw new Error(`try ${attempt}`)
    }),
  ])
  const run = await begin('stubborn', { retry: { maxAttempts: 3, backoff: 'fixed', delayMs: 10 } })
  expect(await engine.over(run)).toBe('failed')
  expect(attempts).toEqual([1, 2, 3])
  expect(await engine.jobs(run)).toMatchObject([
    { status: 'failed', seq: 3, attempt: 3, error: { code: 'attempt_failed', message: 'try 3' } },
  ])
  const [job] = await engine.jobs(run)
  const message = (text: string) => ({ error: { code: 'attempt_failed', message: text } })
  expect(await engine.attempts(job?.id ?? '')).toMatchObject([
    { seq: 1, attempt: 1, outcome: 'retried', ...message('try 1') },
    { seq: 2, attempt: 2, outcome: 'retried', ...message('try 2') },
    { seq: 3, attempt: 3, outcome: 'failed', ...message('try 3') },
  ])
})

test.each([
  ['text', 'not an error', 'not an error'],
  [
    'a link that was refused twice',
    new AggregateError([new Error('::1 refused'), new Error('127.0.0.1 refused')]),
    '::1 refused; 127.0.0.1 refused',
  ],
])('what a function throws may be %s, and the job says so', async (_, thrown, message) => {
  await engine.startWorker([functionOf('odd', () => Promise.reject(thrown))])
  const run = await begin('odd', { retry: { maxAttempts: 1 } })
  expect(await engine.over(run)).toBe('failed')
  expect(await engine.jobs(run)).toMatchObject([{ error: { code: 'attempt_failed', message } }])
})

test('a job that asked for a retry burns a try as well', async () => {
  await engine.startWorker([functionOf('asks', () => retry('not ready yet'))])
  const run = await begin('asks', { retry: { maxAttempts: 2, backoff: 'fixed', delayMs: 0 } })
  expect(await engine.over(run)).toBe('failed')
  expect(await engine.jobs(run)).toMatchObject([
    { status: 'failed', attempt: 2, error: { code: 'attempt_failed', message: 'not ready yet' } },
  ])
})

test.each([
  ['fail()', () => fail('the account is closed')],
  [
    'an error with final: true',
    () => {
      throw Object.assign(new Error('the account is closed'), { final: true })
    },
  ],
])('%s fails the job at once', async (_, end) => {
  await engine.startWorker([functionOf('final', end)])
  const run = await begin('final')
  expect(await engine.over(run)).toBe('failed')
  expect(await engine.jobs(run)).toMatchObject([
    { status: 'failed', seq: 1, attempt: 1, error: { code: 'attempt_failed', message: 'the account is closed' } },
  ])
})

test('a config or a payload that does not fit fails the job at once and names the place', async () => {
  await engine.startWorker([functionOf('fits', () => undefined)])
  const run = await begin('fits', { config: { id: '{{ $number(payload.id) }}' } }, { id: 'seven' })
  expect(await engine.over(run)).toBe('failed')
  const [job] = await engine.jobs(run)
  expect(job).toMatchObject({ attempt: 1, error: { code: 'expression_failed' } })
  expect(job?.error?.message).toContain('$number(payload.id)')
  expect(job?.error?.message).not.toContain('seven')
})

test('snooze burns no try, however often', async () => {
  const attempts: number[] = []
  await engine.startWorker([
    functionOf('snoozes', ({ attempt }) => {
      attempts.push(attempt)
      return attempts.length <= 3 ? snooze(attempts.length === 1 ? hourMs : 0, 'the API rests') : 'awake'
    }),
  ])
  const run = await begin('snoozes', { retry: { maxAttempts: 1 } })
  const waiting = await triedJob(run, 1)
  expect(waiting).toMatchObject({
    status: 'queued',
    seq: 2,
    attempt: 0,
    error: { code: 'snoozed', message: 'the API rests' },
  })
  expect(waiting.dueInMs).toBeGreaterThan(hourMs - 60_000)
  await bringForward()
  expect(await engine.over(run)).toBe('succeeded')
  expect(attempts).toEqual([1, 1, 1, 1])
  expect(await engine.jobs(run)).toMatchObject([{ seq: 4, attempt: 1, error: null, output: 'awake' }])
  expect(await engine.attempts(waiting.id)).toMatchObject([
    { seq: 3, attempt: 1, outcome: 'snoozed', times: 3, error: { code: 'snoozed', message: 'the API rests' } },
  ])
})

test('a job that is put off again and again has one row for all of them in a row, with the first start and the last end', async () => {
  const ends: (() => unknown)[] = [
    () => snooze(0, 'first'),
    () => snooze(0, 'second'),
    () => retry('third'),
    () => snooze(0),
    () => snooze(0, 'fifth'),
    () => fail('sixth'),
  ]
  await engine.startWorker([functionOf('puts-off', () => ends.shift()?.())], { worker: 'patient' })
  const run = await begin('puts-off', { retry: { delayMs: 0 } })
  expect(await engine.over(run)).toBe('failed')
  const [job] = await engine.jobs(run)
  const attempts = await engine.attempts(job?.id ?? '')
  expect(
    attempts.map(({ seq, attempt, outcome, times, error }) => [seq, attempt, outcome, times, error?.message]),
  ).toEqual([
    [2, 1, 'snoozed', 2, 'second'],
    [3, 1, 'retried', 1, 'third'],
    [5, 2, 'snoozed', 2, 'fifth'],
    [6, 2, 'failed', 1, 'sixth'],
  ])
  // From the first start on: the pause between the two is in it.
  const of = (seq: number) => attempts.find((attempt) => attempt.seq === seq)?.ms ?? 0
  expect(of(2)).toBeGreaterThan(of(3))
  expect(attempts.every(({ worker }) => worker === 'patient')).toBe(true)
})

test('a timeout ends the try of a function that ignores its signal, and its late result is nothing', async () => {
  const late = Promise.withResolvers<string>()
  const signals: AbortSignal[] = []
  await engine.startWorker([
    functionOf('sleeps', ({ signal, attempt }) => {
      signals.push(signal)
      return attempt === 1 ? late.promise : 'in time'
    }),
  ])
  const run = await begin('sleeps', { timeoutMs: 100, retry: { delayMs: hourMs, maxDelayMs: hourMs } })
  expect(await triedJob(run, 1)).toMatchObject({
    attempt: 1,
    error: { code: 'timed_out', message: 'the function did not end within 100 ms' },
  })
  expect(signals[0]?.aborted).toBe(true)
  late.resolve('too late')
  await bringForward()
  expect(await engine.over(run)).toBe('succeeded')
  expect(await engine.jobs(run)).toMatchObject([{ attempt: 2, output: 'in time' }])
})

test('a function that goes on after its time keeps its place: no other job of it begins until it ends', async () => {
  const late = Promise.withResolvers<string>()
  const calls: unknown[] = []
  const worker = await engine.startWorker(
    [
      functionOf('goes-on', ({ payload }) => {
        calls.push(payload)
        return payload === 'first' ? late.promise : 'done'
      }),
      functionOf('another', () => null),
    ],
    { prefetch: 1 },
  )
  const step = { timeoutMs: 100, retry: { maxAttempts: 1 } }
  expect(await engine.over(await begin('goes-on', step, 'first'))).toBe('failed')
  const second = await begin('goes-on', step, 'second')
  // Its message goes out after the second one's, and comes after it.
  expect(await engine.over(await begin('another'))).toBe('succeeded')
  expect(calls).toEqual(['first'])
  late.resolve('too late')
  expect(await engine.over(second)).toBe('succeeded')
  expect(calls).toEqual(['first', 'second'])
  await worker.stop()
  expect(await engine.broker.count('goes-on')).toBe(0)
})

test('a function that goes on does not hold up the end of its worker', async () => {
  const worker = await engine.startWorker([functionOf('holds-up', () => new Promise(() => undefined))], {
    graceMs: 60_000,
  })
  expect(await engine.over(await begin('holds-up', { timeoutMs: 50, retry: { maxAttempts: 1 } }))).toBe('failed')
  const begun = performance.now()
  await worker.stop()
  expect(performance.now() - begun).toBeLessThan(10_000)
  expect(await engine.broker.count('holds-up')).toBe(0)
})

test('a result that Postgres cannot store fails only its own job of those that ended together', async () => {
  const all = Promise.withResolvers<void>()
  let begun = 0
  await engine.startWorker([
    functionOf('together', async ({ payload }) => {
      begun += 1
      if (begun === 6) all.resolve()
      await all.promise
      return [payload, payload === 3 ? 'NUL \u0000 in the secret text' : 'text']
    }),
    functionOf('together.next', () => undefined),
  ])
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'together', outputType: 'multiple' },
    { functionName: 'together.next', outputType: null },
  )
  const run = await engine.begin(workflow, [1, 2, 3, 4, 5, 6])
  expect(await engine.over(run)).toBe('failed')
  const jobs = await engine.jobs(run)
  expect(jobs.filter(({ step }) => step === 2)).toHaveLength(10)
  const failed = jobs.filter(({ status }) => status !== 'succeeded')
  expect(failed).toMatchObject([
    { step: 1, payload: 3, status: 'failed', attempt: 1, error: { code: 'output_rejected' } },
  ])
  expect(failed[0]?.error?.message).toBe(
    'the result cannot be stored: its text at /1 has a NUL character or half of a surrogate pair',
  )
  expect(await engine.untrueCounters()).toEqual([])
})

test.each([
  ['NUL', 'odd \u0000'],
  ['half of a surrogate pair', 'odd \ud800'],
])('an output with %s fails its job, and an error message with it is kept as far as it can be', async (_, text) => {
  await engine.startWorker([
    functionOf('unstorable', ({ payload }) => {
      if (payload === 'throw') throw new Error(text)
      return text
    }),
  ])
  const kept = await begin('unstorable')
  expect(await engine.over(kept)).toBe('failed')
  expect(await engine.jobs(kept)).toMatchObject([
    {
      output: null,
      error: {
        code: 'output_rejected',
        message: 'the result cannot be stored: its text has a NUL character or half of a surrogate pair',
      },
    },
  ])
  const thrown = await begin('unstorable', { retry: { maxAttempts: 2, delayMs: 0 } }, 'throw')
  expect(await engine.over(thrown)).toBe('failed')
  expect(await engine.jobs(thrown)).toMatchObject([
    { attempt: 2, error: { code: 'attempt_failed', message: 'odd \uFFFD' } },
  ])
})

test.each([
  ['a cycle', () => cycle],
  ['a bigint', () => [1n]],
  [
    'a toJSON that throws',
    () => ({
      toJSON: () => {
        throw new Error('not now')
      },
    }),
  ],
])('a result with %s fails its job, as an output and as an item, and no other', async (_, give) => {
  await engine.startWorker([
    functionOf('no-json', ({ payload }) => (payload === 'good' ? ['good'] : give())),
    functionOf('no-json.next', () => undefined),
  ])
  const none: StepDraft[] = []
  for (const more of [none, [{ functionName: 'no-json.next', outputType: null } satisfies StepDraft]]) {
    const workflow = await engine.saveWorkflow(
      { functionName: 'CronJob', outputType: 'multiple' },
      { functionName: 'no-json', outputType: 'single' },
      ...more,
    )
    const run = await engine.begin(workflow, ['good', 'bad', 'good'])
    expect(await engine.over(run)).toBe('failed')
    const jobs = (await engine.jobs(run)).filter(({ step }) => step === 1)
    expect(jobs.map(({ status }) => status)).toEqual(['succeeded', 'failed', 'succeeded'])
    expect(jobs[1]).toMatchObject({ attempt: 1, error: { code: 'output_rejected' } })
  }
})

const cycle: Record<string, unknown> = {}
cycle.self = cycle
