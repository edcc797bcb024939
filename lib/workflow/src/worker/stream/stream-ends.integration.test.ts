import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { numbers, openStreams, pageOf, resumableOf } from '../../../test/streams.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { cancelRun, defineFunction, fail, page, sendAgain, snooze } from '../../index.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const { begin, hiddenOf, itemsOf, parentOf } = openStreams(() => engine)

test('a stream that fails in its middle goes on behind its last page, with all its attempts anew', async () => {
  const begunAt: (number | null)[] = []
  const { run } = await begin(
    resumableOf('stumbles', async function* ({ cursor }) {
      begunAt.push(cursor)
      const first = cursor ?? 0
      if (first === 60) return
      yield pageOf(first, 10)
      yield pageOf(first + 10, 5)
      throw new Error('the source is away')
    }),
    { retry: { maxAttempts: 2, backoff: 'fixed', delayMs: 1 } },
  )
  expect(await engine.over(run)).toBe('succeeded')
  expect(begunAt).toEqual([null, 15, 30, 45, 60])
  expect(await itemsOf(run)).toEqual(numbers(0, 60))
  expect(await engine.attempts((await parentOf(run)).id)).toMatchObject(
    [1, 2, 3, 4].map((seq) => ({ seq, attempt: 1, outcome: 'retried', error: { message: 'the source is away' } })),
  )
})

test('a function that emits, and has nothing left behind its last page, is done', async () => {
  const begunAt: (number | null)[] = []
  const { run } = await begin(
    defineFunction({
      name: 'emits all',
      config: z.looseObject({}),
      cursor: z.int(),
      run: async ({ cursor, emit }) => {
        begunAt.push(cursor)
        if (cursor !== null) return
        await emit(numbers(0, 10), 10)
        throw new Error('the source hangs up')
      },
    }),
    { retry: { maxAttempts: 2, backoff: 'fixed', delayMs: 1 } },
  )
  expect(await engine.over(run)).toBe('succeeded')
  expect(begunAt).toEqual([null, 10])
  expect(await itemsOf(run)).toEqual(numbers(0, 10))
})

test('a stream that fails without having got any further has its attempts counted, whatever signs of life it gives', async () => {
  let attempts = 0
  const { run } = await begin(
    resumableOf('lives', async function* ({ cursor }) {
      attempts += 1
      if (cursor === null) yield pageOf(0, 5)
      else yield page([], cursor)
      throw new Error('the source is away')
    }),
    { retry: { maxAttempts: 3, backoff: 'fixed', delayMs: 1 } },
  )
  expect(await engine.over(run)).toBe('failed')
  expect(attempts).toBe(3)
  const { id } = await parentOf(run)
  expect((await engine.attempts(id)).map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
    [1, 'retried'],
    [2, 'retried'],
    [3, 'failed'],
  ])
  expect(await itemsOf(run)).toEqual(numbers(0, 5))
})

const nothing = (): Promise<never> => Promise.reject()

// The reason of a signal that nobody has aborted is nothing as well.
test.each([
  [
    'a generator',
    functionOf('nothing.generated', async function* () {
      yield 1
      await nothing()
    }),
  ],
  [
    'a function that emits',
    functionOf('nothing.emitted', async ({ emit }) => {
      await emit([1])
      return nothing()
    }),
  ],
  ['a function without any item', functionOf('nothing.given', nothing)],
])('a rejection with nothing, by %s, is an attempt like any that fails', async (_, fn) => {
  const { run } = await begin(fn, { retry: { maxAttempts: 2, backoff: 'fixed', delayMs: 1 } })
  expect(await engine.over(run)).toBe('failed')
  const { id, error } = await parentOf(run)
  expect(error).toMatchObject({ code: 'attempt_failed', message: 'undefined' })
  expect((await engine.attempts(id)).map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
    [1, 'retried'],
    [2, 'failed'],
  ])
  expect(await itemsOf(run)).toEqual([])
})

test('a stream without a cursor that fails in its middle begins anew, and what it gave before is dropped', async () => {
  let attempts = 0
  const { run } = await begin(
    functionOf('begins anew', async function* () {
      attempts += 1
      for (let item = 0; item < 40; item += 1) {
        if (item === 25 && attempts === 1) throw new Error('the source is away')
        yield `${attempts}.${item}`
      }
    }),
    { retry: { maxAttempts: 2, backoff: 'fixed', delayMs: 1 } },
  )
  expect(await engine.over(run)).toBe('succeeded')
  expect(await itemsOf(run)).toEqual(numbers(0, 40).map((item) => `2.${item}`))
  expect(await hiddenOf(run)).toBe(20)
})

test('a generator may end with an outcome: what it gave before is kept, and a snooze burns no attempt', async () => {
  const { run } = await begin(
    resumableOf('snoozes', async function* ({ cursor }) {
      const first = cursor ?? 0
      yield pageOf(first, 7)
      if (first < 21) return snooze(1, 'rate limit')
      return fail('the source is gone')
    }),
  )
  expect(await engine.over(run)).toBe('failed')
  expect(await itemsOf(run)).toEqual(numbers(0, 28))
  const parent = await parentOf(run)
  expect(parent).toMatchObject({ attempt: 1, emitted: 28, cursor: 28, error: { message: 'the source is gone' } })
  expect(await engine.attempts(parent.id)).toMatchObject([
    { outcome: 'snoozed', times: 3 },
    { outcome: 'failed', times: 1 },
  ])
})

test('a failed stream that is sent again goes on behind its last page, and takes no other payload', async () => {
  let isAway = true
  const { run } = await begin(
    resumableOf('sent again', async function* ({ cursor }) {
      const first = cursor ?? 0
      yield pageOf(first, 15)
      if (isAway) throw new Error('the source is away')
      yield pageOf(first + 15, 5)
    }),
    { retry: { maxAttempts: 1 } },
  )
  await waitFor(async () => (await parentOf(run)).status === 'failed')
  const { id } = await parentOf(run)
  isAway = false
  const by = { lane: engine.laneId }
  expect(await sendAgain(engine.em(), id, by, { payload: 'another' })).toBe('job has given items')
  expect(await sendAgain(engine.em(), id, by)).toBe('sent')
  expect(await engine.over(run)).toBe('succeeded')
  expect(await itemsOf(run)).toEqual(numbers(0, 35))
})

test('one that has come further without any item begins anew with another payload', async () => {
  const began: unknown[] = []
  const { run } = await begin(
    resumableOf('nothing yet', async function* ({ cursor, payload }) {
      began.push({ cursor, payload })
      yield page([], 100)
      if (payload !== 'another') throw new Error('not that one')
      yield pageOf(0, 3)
    }),
    { retry: { maxAttempts: 1 } },
  )
  await waitFor(async () => (await parentOf(run)).status === 'failed')
  const { id, cursor } = await parentOf(run)
  expect(cursor).toBe(100)
  expect(await sendAgain(engine.em(), id, { lane: engine.laneId }, { payload: 'another' })).toBe('sent')
  expect(await engine.over(run)).toBe('succeeded')
  expect(await itemsOf(run)).toEqual(numbers(0, 3))
  expect(began.at(-1)).toEqual({ cursor: null, payload: 'another' })
})

test('of a page with an item that is refused nothing goes on, and sent again the job has each item once', async () => {
  let item: unknown = 'x'.repeat(2_000_000)
  const { run } = await begin(
    resumableOf('refused', async function* ({ cursor }) {
      const first = cursor ?? 0
      if (first < 10) yield pageOf(first, 10 - first)
      if (first < 13) yield page([10, 11, item], 13)
    }),
  )
  await waitFor(async () => (await parentOf(run)).status === 'failed')
  const parent = await parentOf(run)
  expect(parent).toMatchObject({ emitted: 10, cursor: 10, error: { code: 'payload_too_large' } })
  item = 12
  expect(await sendAgain(engine.em(), parent.id, { lane: engine.laneId })).toBe('sent')
  expect(await engine.over(run)).toBe('succeeded')
  expect(await itemsOf(run)).toEqual(numbers(0, 13))
})

test('what a stream gave when its time is up is kept', async () => {
  let begun = 0
  const { run } = await begin(
    resumableOf('hangs', async function* ({ cursor }) {
      begun += 1
      if (cursor === null) {
        yield pageOf(0, 3)
        await new Promise(() => {})
      }
    }),
    { timeoutMs: 300, retry: { maxAttempts: 2, backoff: 'fixed', delayMs: 1 } },
  )
  expect(await engine.over(run)).toBe('succeeded')
  expect(begun).toBe(2)
  expect(await itemsOf(run)).toEqual([0, 1, 2])
})

test.each(['resumable', 'whole'])(
  'an item that cannot be stored fails a %s stream, and what it is is told',
  async (kind) => {
    const name = `unstorable.${kind}`
    const fn =
      kind === 'whole'
        ? functionOf(name, async function* () {
            yield* numbers(0, 15)
            yield { text: 'a\0b' }
            yield* numbers(16, 20)
          })
        : resumableOf(name, async function* () {
            yield pageOf(0, 15)
            yield page([{ text: 'a\0b' }, 16, 17], 18)
            for (let first = 18; first < 40; first += 1) yield pageOf(first, 1)
          })
    const { run } = await begin(fn)
    expect(await engine.over(run)).toBe('failed')
    expect((await parentOf(run)).error).toMatchObject({
      code: 'output_rejected',
      message: expect.stringMatching(/its text at \/(\d+)\/text has a NUL character .*; \/\1 is item 16$/),
    })
    expect(await itemsOf(run)).toEqual(kind === 'whole' ? [] : numbers(0, 15))
  },
)

test.each(['resumable', 'whole'])(
  'a run that is cancelled in the middle of a %s stream has nothing open',
  async (kind) => {
    const gate = Promise.withResolvers<void>()
    const name = `cancelled.${kind}`
    const fn =
      kind === 'whole'
        ? functionOf(name, async function* () {
            yield* numbers(0, 35)
            await gate.promise
          })
        : resumableOf(name, async function* () {
            for (let first = 0; first < 30; first += 10) yield pageOf(first, 10)
            await gate.promise
          })
    const { run } = await begin(fn, { taken: false })
    const isThere = async () => (kind === 'whole' ? await hiddenOf(run) : (await itemsOf(run)).length) === 30
    await waitFor(isThere)
    await cancelRun(engine.em(), run)
    await waitFor(async () => (await parentOf(run)).status === 'cancelled')
    await cancelRun(engine.em(), run)
    expect(await engine.over(run)).toBe('cancelled')
    const statuses = (await engine.jobs(run)).filter(({ step, status }) => step === 1 && status !== 'hidden')
    expect(statuses.map(({ status }) => status)).toEqual(kind === 'whole' ? [] : numbers(0, 30).map(() => 'cancelled'))
  },
)
