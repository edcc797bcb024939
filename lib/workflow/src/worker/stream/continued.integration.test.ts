import { setTimeout as delay } from 'node:timers/promises'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { defineFunction, page, type StepFunction } from '../../index.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

/** Runs a function whose job goes on in a new delivery after `continueMs`; gives the run when it is over. */
const carry = async (fn: StepFunction, continueMs: number, options: { pageItems?: number; window?: number } = {}) => {
  const worker = await engine.startWorker([fn, functionOf(`${fn.name}.next`, () => undefined)], {
    ...options,
    continueMs,
  })
  const workflow = await engine.saveWorkflow(
    { functionName: fn.name, outputType: 'multiple' },
    { functionName: `${fn.name}.next`, outputType: null },
  )
  const run = await engine.begin(workflow, null)
  const status = await engine.over(run)
  const [parent, ...children] = await engine.jobs(run)
  return { worker, status, parent, items: children.map(({ payload }) => payload) }
}

test('a stream that lasts goes on in new deliveries, each behind the cursor of the one before', async () => {
  const begunAt: (number | null)[] = []
  const fn = defineFunction({
    name: 'lasts',
    config: z.looseObject({}),
    cursor: z.int(),
    run: async function* ({ cursor, attempt }) {
      begunAt.push(cursor)
      expect(attempt).toBe(1)
      for (let item = cursor ?? 0; item < 10; item += 1) {
        await delay(30)
        yield page([item], item + 1)
      }
    },
  })
  const { status, parent, items, worker } = await carry(fn, 100)
  expect(status).toBe('succeeded')
  expect(items).toEqual(numbers(10))
  expect(begunAt.length).toBeGreaterThan(2)
  expect(begunAt).toEqual(begunAt.toSorted((a, b) => (a ?? 0) - (b ?? 0)))
  expect(parent).toMatchObject({ seq: begunAt.length, attempt: 1, error: null })
  expect(worker.saw('job.written').filter((event) => 'ending' in event && event.ending === 'continued')).toHaveLength(
    begunAt.length - 1,
  )
  expect(await engine.attempts(parent?.id ?? '')).toEqual([])
})

test('a generator that goes on in a new delivery closes what it has open before, and emit says that it is to end', async () => {
  let open = 0
  let most = 0
  const generator = defineFunction({
    name: 'closes',
    config: z.looseObject({}),
    cursor: z.int(),
    run: async function* ({ cursor }) {
      open += 1
      most = Math.max(most, open)
      try {
        for (let item = cursor ?? 0; item < 5; item += 1) {
          await delay(30)
          yield page([item], item + 1)
        }
      } finally {
        open -= 1
      }
    },
  })
  expect((await carry(generator, 20)).items).toEqual(numbers(5))
  expect([open, most]).toEqual([0, 1])
  const refusals: unknown[] = []
  const emitting = defineFunction({
    name: 'emits on',
    config: z.looseObject({}),
    cursor: z.int(),
    run: async ({ cursor, emit }) => {
      try {
        for (let item = cursor ?? 0; item < 5; item += 1) {
          await delay(30)
          await emit([item], item + 1)
        }
      } catch (error) {
        refusals.push(error)
        throw error
      }
    },
  })
  const { items } = await carry(emitting, 20)
  expect(items).toEqual(numbers(5))
  await waitFor(() => refusals.length > 0)
  expect(refusals[0]).toMatchObject({ code: 'continued' })
})

test('a delivery that lasts and brings its job no further gives it no new attempts', async () => {
  let deliveries = 0
  const fn = defineFunction({
    name: 'stands',
    config: z.looseObject({}),
    cursor: z.object({ of: z.int(), to: z.int() }),
    defaults: { retry: { maxAttempts: 2, delayMs: 1 } },
    run: async function* ({ cursor }) {
      deliveries += 1
      if (deliveries % 2 === 0) throw new Error('the source is away')
      await delay(30)
      // The same one, whatever the order of its members.
      yield cursor === null ? page([0], { to: 1, of: 2 }) : page([], { to: 1, of: 2 })
    },
  })
  const { status, items, parent } = await carry(fn, 20)
  expect(status).toBe('failed')
  expect(deliveries).toBe(4)
  expect(items).toEqual([0])
  expect((await engine.attempts(parent?.id ?? '')).map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
    [1, 'retried'],
    [2, 'failed'],
  ])
})

test('the time of a step is the time of a delivery: a stream goes on in a new one when half of it is over', async () => {
  const fn = defineFunction({
    name: 'half',
    config: z.looseObject({}),
    cursor: z.int(),
    defaults: { timeoutMs: 2_000, retry: { maxAttempts: 1 } },
    run: async function* ({ cursor }) {
      for (let item = cursor ?? 0; item < 15; item += 1) {
        await delay(200)
        yield page([item], item + 1)
      }
    },
  })
  const { status, items, parent } = await carry(fn, 60_000)
  expect(status).toBe('succeeded')
  expect(items).toEqual(numbers(15))
  expect(parent?.seq).toBeGreaterThan(1)
})

test('the items of a stream without a cursor are accepted over as many deliveries as that takes, and its function is called once', async () => {
  let calls = 0
  const fn = functionOf('hides', async function* () {
    calls += 1
    yield* numbers(45)
  })
  const { status, parent, items, worker } = await carry(fn, 0, { pageItems: 10, window: 15 })
  expect(status).toBe('succeeded')
  expect(items).toEqual(numbers(45))
  expect(calls).toBe(1)
  // With each of its five pages it goes on, and behind the last there is none.
  expect(parent).toMatchObject({ seq: 6, attempt: 1, error: null })
  expect(worker.saw('delivery.dropped')).toEqual([])
  expect(await engine.attempts(parent?.id ?? '')).toEqual([])
})

test('a stream without a cursor ends with its time: nothing of it can be kept', async () => {
  const fn = functionOf('cannot', async function* () {
    for (;;) {
      await delay(20)
      yield 'again'
    }
  })
  const limited = { ...fn, defaults: { timeoutMs: 200, retry: { maxAttempts: 1 } } }
  const { status, items, parent } = await carry(limited, 50)
  expect(status).toBe('failed')
  expect(parent).toMatchObject({ seq: 1, error: { code: 'timed_out' } })
  expect(items).toEqual([])
})
