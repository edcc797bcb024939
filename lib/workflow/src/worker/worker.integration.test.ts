import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { defineFunction } from '../index.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** Every kind of JSON value, and texts that look like another kind. */
const values = [
  null,
  true,
  false,
  0,
  -1.5,
  '',
  'text',
  '7',
  'null',
  '{"a":1}',
  'ç ☃ 😀',
  [],
  [[1], null],
  {},
  { a: { b: null } },
]

const byValue = (a: unknown, b: unknown) => Number(a) - Number(b)

const echo = (name: string) => functionOf(name, ({ payload }) => payload)

test('a chain moves: one job an item, then one with all, then the input, and the last output is kept', async () => {
  await engine.startWorker([
    functionOf('chain.split', () => ['a', 'b', 'c']),
    functionOf('chain.wrap', ({ payload }) => [payload, payload]),
    functionOf('chain.pass', () => 'comes to nothing'),
    functionOf('chain.last', ({ payload }) => ({ got: payload })),
  ])
  const workflow = await engine.saveWorkflow(
    { functionName: 'chain.split', outputType: 'multiple' },
    { functionName: 'chain.wrap', outputType: 'single' },
    { functionName: 'chain.pass', outputType: null },
    { functionName: 'chain.last', outputType: 'single' },
  )
  const run = await engine.begin(workflow, { from: 'test' })
  expect(await engine.over(run)).toBe('succeeded')

  const jobs = await engine.jobs(run)
  const at = (step: number) => jobs.filter((job) => job.step === step)
  expect(at(0)).toMatchObject([{ payload: { from: 'test' }, output: null, itemIndex: null, parentId: null }])
  expect(at(1)).toMatchObject([
    { payload: 'a', itemIndex: 0, parentId: at(0)[0]?.id },
    { payload: 'b', itemIndex: 1, parentId: at(0)[0]?.id },
    { payload: 'c', itemIndex: 2, parentId: at(0)[0]?.id },
  ])
  const pairs = [
    ['a', 'a'],
    ['b', 'b'],
    ['c', 'c'],
  ]
  expect(at(2)).toHaveLength(3)
  expect(at(2).map(({ payload }) => payload)).toEqual(expect.arrayContaining(pairs))
  expect(at(3)).toHaveLength(3)
  expect(at(3).map(({ payload }) => payload)).toEqual(expect.arrayContaining(pairs))
  for (const job of at(3)) expect(job.output).toEqual({ got: job.payload })
  expect(jobs).toHaveLength(10)
  for (const job of jobs)
    expect(job).toMatchObject({ status: 'succeeded', seq: 1, attempt: 1, claim: null, error: null })
})

test('every JSON value travels unchanged: as a payload, through a function, and as an output', async () => {
  const seen: unknown[] = []
  await engine.startWorker([
    functionOf('values.give', () => values),
    functionOf('values.take', ({ payload }) => {
      seen.push(payload)
      return payload
    }),
    echo('values.keep'),
  ])
  const workflow = await engine.saveWorkflow(
    { functionName: 'values.give', outputType: 'multiple' },
    { functionName: 'values.take', outputType: 'single' },
    { functionName: 'values.keep', outputType: 'single' },
  )
  const run = await engine.begin(workflow, null)
  expect(await engine.over(run)).toBe('succeeded')
  const jobs = await engine.jobs(run)
  expect(jobs.filter(({ step }) => step === 1).map(({ payload }) => payload)).toEqual(values)
  expect(seen).toHaveLength(values.length)
  expect(seen).toEqual(expect.arrayContaining(values))
  const kept = jobs.filter(({ step }) => step === 2)
  expect(kept.map(({ payload }) => payload)).toEqual(expect.arrayContaining(values))
  for (const { payload, output } of kept) expect(output).toEqual(payload)
})

test('a run may begin with any JSON value, and a function that returns nothing gives null', async () => {
  const seen: unknown[] = []
  await engine.startWorker([
    functionOf('nothing.give', ({ payload }) => {
      seen.push(payload)
    }),
    echo('nothing.take'),
  ])
  const workflow = await engine.saveWorkflow(
    { functionName: 'nothing.give', outputType: 'single' },
    { functionName: 'nothing.take', outputType: 'single' },
  )
  for (const value of [null, 'text', 0, false, [1]]) {
    const run = await engine.begin(workflow, value)
    expect(await engine.over(run)).toBe('succeeded')
    expect(await engine.jobs(run)).toMatchObject([{ payload: value }, { payload: null, output: null }])
  }
  expect(seen).toEqual([null, 'text', 0, false, [1]])
})

test('the items of an async iterable become one job each', async () => {
  await engine.startWorker([
    functionOf('pages.give', async function* pages() {
      yield* [1, 2]
      yield* [3]
    }),
    echo('pages.take'),
  ])
  const workflow = await engine.saveWorkflow(
    { functionName: 'pages.give', outputType: 'multiple' },
    { functionName: 'pages.take', outputType: null },
  )
  const run = await engine.begin(workflow, null)
  expect(await engine.over(run)).toBe('succeeded')
  expect((await engine.jobs(run)).map(({ step, payload, output }) => [step, payload, output])).toEqual([
    [0, null, null],
    [1, 1, null],
    [1, 2, null],
    [1, 3, null],
  ])
})

test('an empty array ends the run', async () => {
  await engine.startWorker([functionOf('empty.give', () => []), echo('empty.take')])
  const workflow = await engine.saveWorkflow(
    { functionName: 'empty.give', outputType: 'multiple' },
    { functionName: 'empty.take', outputType: 'single' },
  )
  const run = await engine.begin(workflow, null)
  expect(await engine.over(run)).toBe('succeeded')
  expect(await engine.jobs(run)).toMatchObject([{ status: 'succeeded', step: 0 }])
})

test.each([
  ['an object', { leads: [] }],
  ['null', null],
  ['nothing', undefined],
  ['a string', 'abc'],
])('a step "multiple" whose function gives %s fails its job and the run, and says so', async (what, result) => {
  await engine.startWorker([functionOf('wrong.give', () => result), echo('wrong.take')])
  const workflow = await engine.saveWorkflow(
    { functionName: 'wrong.give', outputType: 'multiple' },
    { functionName: 'wrong.take', outputType: 'single' },
  )
  const run = await engine.begin(workflow, null)
  expect(await engine.over(run)).toBe('failed')
  expect(await engine.jobs(run)).toMatchObject([
    {
      status: 'failed',
      attempt: 1,
      seq: 1,
      error: {
        code: 'output_invalid',
        message: `step "step 0" has outputType "multiple": its result must be an array, but ${what} came`,
      },
    },
  ])
})

test('a result that is not as its function says fails its job, unless it goes nowhere', async () => {
  const run = () => [{ id: 1 }, { id: 'two' }]
  const output = z.array(
    z.looseObject({ id: z.unknown() }).refine(({ id }) => typeof id === 'number', 'must have a number'),
  )
  await engine.startWorker([
    defineFunction({ name: 'shape.give', config: z.object({}), output, run }),
    echo('shape.take'),
  ])
  const saved = (outputType: 'multiple' | null) =>
    engine.saveWorkflow({ functionName: 'shape.give', outputType }, { functionName: 'shape.take', outputType: null })
  const wrong = await engine.begin(await saved('multiple'), null)
  expect(await engine.over(wrong)).toBe('failed')
  expect(await engine.jobs(wrong)).toMatchObject([
    { attempt: 1, error: { code: 'output_invalid', message: 'result.1: must have a number' } },
  ])
  const nowhere = await engine.begin(await saved(null), null)
  expect(await engine.over(nowhere)).toBe('succeeded')
})

test('one failed job fails the run when the others are done, and does not stop them', async () => {
  await engine.startWorker([
    functionOf('mixed.work', ({ payload }) => {
      if (payload === 'bad') throw Object.assign(new Error('no'), { final: true })
    }),
  ])
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'mixed.work', outputType: null },
  )
  const run = await engine.begin(workflow, ['good', 'bad', 'good'])
  expect(await engine.over(run)).toBe('failed')
  expect((await engine.jobs(run)).map(({ status }) => status)).toEqual([
    'succeeded',
    'succeeded',
    'failed',
    'succeeded',
  ])
})

test('several workers share a queue: each job is run once, and in the end nothing is left anywhere', async () => {
  const ran: { by: string; payload: unknown }[] = []
  const names = ['one', 'two', 'three']
  const items = Array.from({ length: 60 }, (_, index) => index)
  for (const by of names) {
    await engine.startWorker(
      [
        functionOf('shared.split', () => items),
        functionOf('shared.work', async ({ payload }) => {
          ran.push({ by, payload })
          // Whoever has its hands full leaves the rest to the others.
          await waitFor(() => new Set(ran.map((run) => run.by)).size === names.length)
          return payload
        }),
        functionOf('shared.end', () => undefined),
      ],
      { worker: by, prefetch: 5 },
    )
  }
  const workflow = await engine.saveWorkflow(
    { functionName: 'shared.split', outputType: 'multiple' },
    { functionName: 'shared.work', outputType: 'single' },
    { functionName: 'shared.end', outputType: null },
  )
  const runs = [await engine.begin(workflow, null), await engine.begin(workflow, null)]
  for (const run of runs) {
    expect(await engine.over(run)).toBe('succeeded')
    const jobs = await engine.jobs(run)
    expect(jobs).toHaveLength(121)
    expect(jobs.filter(({ step }) => step === 1).map(({ payload }) => payload)).toEqual(items)
  }
  expect(ran.map(({ payload }) => payload).toSorted(byValue)).toEqual([...items, ...items].toSorted(byValue))
  expect(new Set(ran.map(({ by }) => by))).toEqual(new Set(names))
  await engine.stopWorkers()
  expect(await engine.untrueCounters()).toEqual([])
  await waitFor(async () => (await engine.outboxRows()) === 0)
  for (const queue of ['shared.split', 'shared.work', 'shared.end']) expect(await engine.broker.count(queue)).toBe(0)
})
