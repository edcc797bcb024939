import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { holdLocked, lockSqls } from '../../../test/hold-locked.ts'
import { numbers, pageOf, resumableOf } from '../../../test/streams.ts'
import { useEngine } from '../../../test/use-engine.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** A function that gives three pages, and waits behind the first of `held` until `go`; and which calls came so far. */
const giving = (name: string) => {
  const gate = Promise.withResolvers<void>()
  const asked: unknown[] = []
  const fn = resumableOf(name, async function* ({ payload, cursor }) {
    for (let first = cursor ?? 0; first < 30; first += 10) {
      if (first === 10 && payload === 'held') {
        asked.push(payload)
        await gate.promise
      }
      yield pageOf(first, 10)
    }
  })
  const save = () =>
    engine.saveWorkflow(
      { functionName: 'CronJob', outputType: 'multiple' },
      { functionName: name, outputType: 'multiple' },
      { functionName: `${name}.next`, outputType: null },
    )
  return { functions: [fn, functionOf(`${name}.next`, () => undefined)], save, asked, go: gate.resolve }
}

const itemsOf = async (run: string) =>
  (await engine.jobs(run)).filter(({ step }) => step === 2).map(({ payload }) => payload)

test('a job whose page waits for a lock for too long gets a new message, and goes on behind the page before', async () => {
  const name = 'waits for long'
  const { functions, save, asked, go } = giving(name)
  const worker = await engine.startWorker(functions, { pageItems: 10, lockPatienceMs: 1_000 })
  const held = await engine.begin(await save(), ['held'])
  await waitFor(async () => asked.length === 1 && (await itemsOf(held)).length === 10)
  const { release } = await holdLocked(engine, lockSqls.counters, held)
  go()
  await waitFor(() => worker.saw('job.written').some((event) => 'error' in event && event.functionName === name))
  const [, job] = await engine.jobs(held)
  expect(job).toMatchObject({ status: 'queued', seq: 2, attempt: 0, error: { code: 'snoozed' } })
  await release()
  expect(await engine.over(held)).toBe('succeeded')
  expect(await itemsOf(held)).toEqual(numbers(0, 30))
  expect(await engine.attempts(job?.id ?? '')).toMatchObject([{ outcome: 'snoozed' }])
  expect(asked).toHaveLength(2)
  expect(await engine.untrueCounters()).toEqual([])
})

test('a stream that waits with its first page to take its held job is put off when its worker stops, at the cost of no attempt', async () => {
  const name = 'stopped before its first page'
  const gate = Promise.withResolvers<void>()
  const asked: unknown[] = []
  const fn = resumableOf(name, async function* ({ cursor }) {
    asked.push(cursor)
    await gate.promise
    for (let first = cursor ?? 0; first < 20; first += 10) yield pageOf(first, 10)
  })
  const functions = [fn, functionOf(`${name}.next`, () => undefined)]
  const worker = await engine.startWorker(functions, { pageItems: 10, graceMs: 15_000 })
  const workflow = await engine.saveWorkflow(
    { functionName: name, outputType: 'multiple', retry: { maxAttempts: 1 } },
    { functionName: `${name}.next`, outputType: null },
  )
  const run = await engine.begin(workflow, null)
  await waitFor(() => asked.length === 1)
  const { release } = await holdLocked(engine, 'select from workflow_job where run_id = $1 for update', run)
  gate.resolve()
  await waitFor(() => worker.saw('commit.held-up').length > 0)
  const stopping = worker.stop()
  await release()
  await stopping
  const [parent] = await engine.jobs(run)
  expect(parent).toMatchObject({ status: 'queued', seq: 2, attempt: 0, error: { code: 'snoozed' } })
  await engine.startWorker(functions, { pageItems: 10 })
  expect(await engine.over(run)).toBe('succeeded')
})

test('streams of a held run leave half of the places of their function to others', async () => {
  const { functions, save, asked, go } = giving('waits with many')
  const worker = await engine.startWorker(functions, { pageItems: 10, prefetch: 4 })
  const workflow = await save()
  const held = await engine.begin(workflow, Array<string>(10).fill('held'))
  await waitFor(async () => asked.length === 4 && (await itemsOf(held)).length === 40)
  const { release } = await holdLocked(engine, lockSqls.counters, held)
  go()
  expect(await engine.over(await engine.begin(workflow, ['free']))).toBe('succeeded')
  expect(asked).toHaveLength(4)
  expect(await engine.statusOf(held)).toBe('running')
  await release()
  expect(await engine.over(held, 60_000)).toBe('succeeded')
  expect(await engine.untrueCounters()).toEqual([])
  expect(worker.saw('delivery.handed-back')).toEqual([])
})

test('however many streams of a held run give a page at once, those of others have their turn soon', async () => {
  const { functions, save, asked, go } = giving('waits in line')
  await engine.startWorker(functions, { pageItems: 10, prefetch: 100 })
  const workflow = await save()
  const held = await engine.begin(workflow, Array<string>(50).fill('held'))
  const firstItems = async () => (await engine.jobs(held)).filter(({ step }) => step === 2)
  await waitFor(async () => {
    const items = await firstItems()
    return asked.length === 50 && items.length === 500 && items.every(({ status }) => status === 'succeeded')
  })
  const { release } = await holdLocked(engine, lockSqls.counters, held)
  go()
  // Each that found out by itself that the run is held would have one of two places for two seconds.
  expect(await engine.over(await engine.begin(workflow, ['free']))).toBe('succeeded')
  await release()
  expect(await engine.over(held, 60_000)).toBe('succeeded')
  expect(await engine.untrueCounters()).toEqual([])
})

test('nor do they wait for streams without a cursor whose run is held by its row', async () => {
  const name = 'waits in line whole'
  const gate = Promise.withResolvers<void>()
  let asked = 0
  const fn = functionOf(name, async function* ({ payload }) {
    if (payload === 'held') {
      asked += 1
      await gate.promise
    }
    yield* numbers(0, 30)
  })
  await engine.startWorker([fn, functionOf(`${name}.next`, () => undefined)], { pageItems: 10, prefetch: 100 })
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: name, outputType: 'multiple' },
    { functionName: `${name}.next`, outputType: null },
  )
  const held = await engine.begin(workflow, Array<string>(50).fill('held'))
  await waitFor(() => asked === 50)
  const { release } = await holdLocked(engine, lockSqls.row, held)
  gate.resolve()
  expect(await engine.over(await engine.begin(workflow, ['free']))).toBe('succeeded')
  await release()
  expect(await engine.over(held, 60_000)).toBe('succeeded')
  expect(asked).toBe(50)
  expect(await engine.untrueCounters()).toEqual([])
})
