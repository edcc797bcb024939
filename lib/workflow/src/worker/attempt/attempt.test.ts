import { expect, onTestFinished, test, vi } from 'vitest'
import * as z from 'zod'
import { compileConfig } from '../../config/resolve-config.ts'
import { openOrm } from '../../database/open-orm.ts'
import { defineFunction } from '../../function/define-function.ts'
import { dropItems } from '../../function/item-sink.ts'
import { fail } from '../../function/outcome.ts'
import type { HeldJob } from '../../job/held-job.ts'
import { aJob, aStep } from '../../../test/a-job.ts'
import { attemptJob } from './attempt.ts'
import type { JobStream } from '../stream/job-stream.ts'
import { allGiven } from '../stream/pages.ts'

const silent = () => undefined

const job: HeldJob = { ...aJob, payload: null, cursor: null, accepted: null, step: aStep }

/** A function that never ends by itself, and how often it was called. */
const endless = () => {
  let calls = 0
  const fn = defineFunction({
    name: 'Work',
    config: z.looseObject({}),
    run: () => {
      calls += 1
      return new Promise(() => undefined)
    },
  })
  return { fn, calls: () => calls }
}

const means = {
  config: async () => ({}),
  secrets: async () => '',
  log: { debug: silent, info: silent, warn: silent, error: silent },
  random: () => 0,
  onRunsOn: silent,
  maxPayloadBytes: 1_000,
}

test('a job that is lost before its attempt begins is not run', async () => {
  const { fn, calls } = endless()
  const lost = AbortSignal.abort(new Error('taken over'))
  const ending = await attemptJob(job, { ...means, fn, lost })
  expect(ending).toMatchObject({ kind: 'requeued', error: { message: 'taken over' } })
  expect(calls()).toBe(0)
})

test('a job that is lost while its config is filled in is not run', async () => {
  const { fn, calls } = endless()
  const lost = new AbortController()
  const filled = Promise.withResolvers<Record<string, unknown>>()
  const attempt = attemptJob(job, { ...means, fn, config: () => filled.promise, lost: lost.signal })
  lost.abort(new Error('taken over'))
  expect(await attempt).toMatchObject({ kind: 'requeued', error: { message: 'taken over' } })
  filled.resolve({})
  await new Promise(setImmediate)
  expect(calls()).toBe(0)
})

/** Time that passes when the test says so, until its end. */
const ownClock = () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  onTestFinished(() => void vi.useRealTimers())
  return (ms: number) => vi.advanceTimersByTimeAsync(ms)
}

test('a function has all of its time from its call on, however long the filling in of its config has taken', async () => {
  const pass = ownClock()
  const { fn, calls } = endless()
  const filled = Promise.withResolvers<Record<string, unknown>>()
  const lost = new AbortController().signal
  let ending: unknown
  void attemptJob(
    { ...job, step: { ...aStep, timeoutMs: 1_000 } },
    { ...means, fn, config: () => filled.promise, lost },
  ).then((ended) => (ending = ended))
  await pass(60_000)
  filled.resolve({})
  await pass(999)
  expect([ending, calls()]).toEqual([undefined, 1])
  await pass(1)
  const error = { code: 'timed_out', message: 'the function did not end within 1000 ms' }
  expect(ending).toMatchObject({ kind: 'requeued', error })
})

test('a transaction that is open stays open for no longer, however long the filling in of the config takes', async () => {
  const pass = ownClock()
  const orm = openOrm({ databaseUrl: 'postgres://127.0.0.1/none', poolSize: 1, applicationName: 'test' })
  onTestFinished(() => orm.close())
  const fn = defineFunction({ name: 'Work', config: z.looseObject({}), unit: 'own', run: () => 'done' })
  const lost = new AbortController().signal
  const step = { ...aStep, timeoutMs: 1_000 }
  const config = () => new Promise<never>(() => undefined)
  const attempt = attemptJob({ ...job, step }, { ...means, fn, config, lost, em: orm.em.fork() })
  await pass(1_000)
  expect(await attempt).toMatchObject({
    kind: 'requeued',
    error: {
      code: 'timed_out',
      message:
        'the function did not end within 1000 ms, the filling in of its config and the writing of its items included',
    },
  })
})

test('an attempt that is over withdraws its expressions', async () => {
  const { fn } = endless()
  const lost = new AbortController()
  const given = { list: ['{{ $match(payload, /^(a+)+$/) }}'], deep: { text: 'a {{ $match(payload, /^(a+)+$/) }}' } }
  const config = compileConfig(given, new Set())
  const left: Promise<unknown>[] = []
  const attempt = attemptJob(
    { ...job, payload: `${'a'.repeat(40)}!` },
    { ...means, fn, config, lost: lost.signal, onRunsOn: (running) => left.push(running) },
  )
  await new Promise(setImmediate)
  lost.abort(new Error('taken over'))
  await attempt
  await expect(Promise.all(left)).rejects.toThrow('taken over')
})

test('a secret at the end of an error that is cut there is hidden first', async () => {
  const fn = defineFunction({
    name: 'Work',
    config: z.object({ token: z.string() }),
    run: ({ config }) => fail(`${'x'.repeat(9_990)}${config.token}`),
  })
  const ending = await attemptJob(job, {
    ...means,
    fn,
    config: async (_, secrets) => ({ token: await secrets('crm-token') }),
    secrets: async () => 'a-secret-of-some-length',
    lost: new AbortController().signal,
  })
  expect(ending).toMatchObject({ kind: 'failed', error: { message: expect.stringContaining('x[secret c') } })
  expect(JSON.stringify(ending)).not.toContain('a-secret')
})

const throwing = (): never => {
  throw new Error('not for you')
}

const looped = new Error('around')
looped.cause = looped

test.each([
  ['has no text', Object.create(null), /cannot be read/],
  ['has another message than a text', Object.assign(new Error(), { message: { status: 500 } }), /^\[object Object\]$/],
  ['keeps its message to itself', Object.defineProperty(new Error(), 'message', { get: throwing }), /cannot be read/],
  ['keeps its code to itself', Object.defineProperty(new Error('away'), 'code', { get: throwing }), /^away$/],
  ['lets nobody look', new Proxy({}, { get: throwing, has: throwing, getPrototypeOf: throwing }), /cannot be read/],
  ['is its own cause', looped, /^around$/],
])('an error that %s is an attempt like any other', async (_, thrown, message) => {
  const run = () => {
    throw thrown
  }
  const fn = defineFunction({ name: 'Work', config: z.looseObject({}), run })
  const lost = new AbortController().signal
  const error = { code: 'attempt_failed', message: expect.stringMatching(message) }
  expect(await attemptJob(job, { ...means, fn, lost })).toMatchObject({ kind: 'requeued', error })
  // Where rows are written with it, whose fault it is is read as well. Nothing is asked of a database.
  const orm = openOrm({ databaseUrl: 'postgres://127.0.0.1/none', poolSize: 1, applicationName: 'test' })
  onTestFinished(() => orm.close())
  const own = defineFunction({ name: 'Work', config: z.looseObject({}), unit: 'own', run })
  expect(await attemptJob(job, { ...means, fn: own, lost, em: orm.em.fork() })).toMatchObject({
    kind: 'requeued',
    error,
  })
})

/** Items that come as `next` says, and a promise of their end. */
const iterable = (next: () => Promise<IteratorResult<unknown>>) => {
  const ended = Promise.withResolvers<void>()
  const items: AsyncIterable<unknown> = {
    [Symbol.asyncIterator]: () => ({
      next,
      return: async () => {
        ended.resolve()
        return { done: true, value: undefined }
      },
    }),
  }
  return { items, ended: ended.promise }
}

test.each(['its time is up', 'its job is lost'])('what gives items is told to end when %s', async (why) => {
  const lost = new AbortController()
  const { items, ended } = iterable(() => {
    if (why === 'its job is lost') lost.abort(new Error('taken over'))
    return new Promise(() => undefined)
  })
  const fn = defineFunction({ name: 'Work', config: z.looseObject({}), run: () => items })
  const step = { ...aStep, timeoutMs: why === 'its time is up' ? 10 : 60_000 }
  const ending = await attemptJob({ ...job, step }, { ...means, fn, lost: lost.signal })
  expect(ending).toMatchObject({ kind: 'requeued' })
  await ended
})

test('a generator that is at work when its time is up ends where it yields next, and closes what it has open', async () => {
  const closed = Promise.withResolvers<number>()
  let yielded = 0
  const run = async function* () {
    try {
      for (;;) {
        yield yielded
        yielded += 1
        await new Promise(setImmediate)
      }
    } finally {
      closed.resolve(yielded)
    }
  }
  const fn = defineFunction({ name: 'Work', config: z.looseObject({}), run })
  const lost = new AbortController().signal
  const ending = await attemptJob({ ...job, step: { ...aStep, timeoutMs: 20 } }, { ...means, fn, lost })
  expect(ending).toMatchObject({ kind: 'requeued', error: { code: 'timed_out' } })
  expect(await closed.promise).toBe(yielded)
})

test('what goes on giving items when its time is up is not read any more', async () => {
  let reads = 0
  const turn = () => new Promise(setImmediate)
  const next = async () => {
    await turn()
    reads += 1
    return { done: false, value: reads }
  }
  const items = { [Symbol.asyncIterator]: () => ({ next }) }
  const fn = defineFunction({ name: 'Work', config: z.looseObject({}), run: () => items })
  const lost = new AbortController().signal
  await attemptJob({ ...job, step: { ...aStep, timeoutMs: 10 } }, { ...means, fn, lost })
  const before = reads
  for (let turns = 0; turns < 20; turns += 1) await turn()
  expect(reads).toBeLessThanOrEqual(before + 1)
})

test('what gives items without ever waiting leaves the clock its turn, and ends with its time', async () => {
  const run = function* () {
    for (;;) yield null
  }
  const fn = defineFunction({ name: 'Work', config: z.looseObject({}), run })
  const step = { ...aStep, outputType: null, timeoutMs: 10 }
  const ending = await attemptJob({ ...job, step }, { ...means, fn, lost: new AbortController().signal })
  expect(ending).toMatchObject({ kind: 'requeued', error: { code: 'timed_out' } })
})

test('items that nobody hears are refused fail their attempt, and end no process', async () => {
  const fn = defineFunction({
    name: 'Work',
    config: z.looseObject({}),
    output: z.array(z.number()),
    cursor: z.int(),
    run: async ({ emit }) => {
      void emit([1], 1)
      void emit([2], 2.5)
      void emit([3], 3)
      await new Promise(setImmediate)
    },
  })
  const ending = await attemptJob(job, { ...means, fn, lost: new AbortController().signal })
  expect(ending).toMatchObject({ kind: 'failed', error: { code: 'cursor_invalid' } })
})

test('a generator that fails while it ends is told in the log, and changes nothing', async () => {
  const lines: unknown[] = []
  const { promise: logged, resolve } = Promise.withResolvers<void>()
  const warn = (fields: object) => {
    lines.push(fields)
    resolve()
  }
  const close = () => Promise.reject(new Error('cannot close'))
  const run = async function* () {
    try {
      yield* endlessly()
    } finally {
      await close()
    }
  }
  const fn = defineFunction({ name: 'Work', config: z.looseObject({}), run })
  const ending = await attemptJob(
    { ...job, step: { ...aStep, timeoutMs: 10 } },
    { ...means, fn, log: { ...means.log, warn }, lost: new AbortController().signal },
  )
  expect(ending).toMatchObject({ kind: 'requeued', error: { code: 'timed_out' } })
  await logged
  expect(lines).toMatchObject([{ event: 'function.end-failed', err: { message: 'cannot close' } }])
})

const endlessly = async function* () {
  for (;;) {
    yield null
    await new Promise(setImmediate)
  }
}

test('a function that ended with its attempt is no function that runs on, and one that ignores its signal is', async () => {
  const runsOn: Promise<unknown>[] = []
  const onRunsOn = (running: Promise<unknown>) => runsOn.push(running)
  const at = { ...means, onRunsOn, lost: new AbortController().signal }
  const quick = defineFunction({ name: 'Work', config: z.looseObject({}), run: () => 'done' })
  await attemptJob(job, { ...at, fn: quick })
  expect(runsOn).toHaveLength(0)
  await attemptJob({ ...job, step: { ...aStep, timeoutMs: 5 } }, { ...at, fn: endless().fn })
  expect(runsOn).toHaveLength(1)
})

test.each([true, false])(
  'of a function that throws its job succeeds if all its items are there: %j',
  async (isSealed) => {
    const fn = defineFunction({
      name: 'Work',
      config: z.looseObject({}),
      run: () => {
        throw new Error('too late')
      },
    })
    const given = allGiven({ id: 'next', functionName: 'Next' })
    const stream: JobStream = {
      openSink: dropItems,
      continues: new AbortController().signal,
      continuation: async () => given,
      keep: async () => undefined,
      job: () => job,
      isSealed: () => isSealed,
      allGiven: given,
      leave: silent,
    }
    const ending = await attemptJob(job, { ...means, fn, stream, lost: new AbortController().signal })
    if (isSealed) expect(ending).toEqual(given)
    else expect(ending).toMatchObject({ kind: 'requeued', error: { message: 'too late' } })
  },
)

test('no step has more time than the broker gives a delivery', async () => {
  const timers: number[] = []
  const original = globalThis.setTimeout
  vi.spyOn(globalThis, 'setTimeout').mockImplementation((handler, ms) => {
    timers.push(ms ?? 0)
    return original(handler, ms)
  })
  onTestFinished(() => void vi.restoreAllMocks())
  const fn = defineFunction({ name: 'Work', config: z.looseObject({}), run: () => 'done' })
  const lost = new AbortController().signal
  await attemptJob({ ...job, step: { ...aStep, timeoutMs: 3_000_000_000 } }, { ...means, fn, lost })
  expect(Math.max(...timers)).toBe(25 * 60_000)
})
