import { startProxy, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { holdCommits } from '../../../test/hold-commits.ts'
import { openStreams, pageItems } from '../../../test/streams.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { defineFunction, page, type StepFunction } from '../../index.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const { begin, itemsOf, parentOf } = openStreams(() => engine)

const named = (first: number, count: number) => Array.from({ length: count }, (_, index) => ({ id: first + index }))

/**
 * Gives 10 items a page, of which 4 were in the page before; `before` is called ahead of each page, and what it says is
 * told.
 */
const overlapping = (
  name: string,
  before: (page: number) => void | Promise<void> = () => {},
  told: number[] = [],
): StepFunction =>
  defineFunction({
    name,
    config: z.looseObject({}),
    cursor: z.int(),
    itemKey: 'id',
    run: async function* ({ cursor, written }) {
      for (let number = cursor ?? 0; number < 10; number += 1) {
        await before(number)
        yield page(named(number * 6, 10), number + 1)
      }
      told.push(await written())
      yield page(named(0, 10), 11)
      told.push(await written())
    },
  })

const all = named(0, 64)

test('an item that comes in several pages goes on once, and the function hears how many did', async () => {
  const told: number[] = []
  const { run } = await begin(overlapping('keyed', () => {}, told))
  expect(await engine.over(run)).toBe('succeeded')
  expect(await itemsOf(run)).toEqual(all)
  expect(await parentOf(run)).toMatchObject({ status: 'succeeded', emitted: 64 })
  expect(told).toEqual([64, 64])
})

test('an attempt that fails goes on behind its cursor, and what the one before gave does not come again', async () => {
  let failures = 0
  const fn = overlapping('keyed.failing', (number) => {
    if (number < 3 + 2 * failures || failures === 3) return
    failures += 1
    throw new Error('not now')
  })
  const { run } = await begin(fn, { retry: { delayMs: 1 } })
  expect(await engine.over(run)).toBe('succeeded')
  expect(failures).toBe(3)
  expect(await itemsOf(run)).toEqual(all)
})

test('of an item that cannot be stored the key is told, and what was on the pages before it stays', async () => {
  const fn = defineFunction({
    name: 'keyed.unstorable',
    config: z.looseObject({}),
    cursor: z.int(),
    itemKey: 'id',
    run: async function* () {
      yield page(named(0, pageItems), 1)
      yield page([...named(pageItems, 3), { id: 'of "Ana"', name: 'a\ud800b' }, ...named(90, 3)], 2)
    },
  })
  const { run } = await begin(fn)
  expect(await engine.over(run)).toBe('failed')
  expect((await parentOf(run)).error).toMatchObject({
    code: 'output_rejected',
    message:
      'the result cannot be stored: its text at /3/name has a NUL character or half of a surrogate pair; ' +
      '/3 is the item whose id is "of \\"Ana\\""',
  })
  expect(await itemsOf(run)).toEqual(named(0, pageItems))
})

test('a page with known items whose commit was not answered is there once', async () => {
  const link = await startProxy(engine.databaseUrl)
  onTestFinished(link.stop)
  const worker = await engine.startWorker(
    [overlapping('keyed.unanswered'), functionOf('keyed.unanswered.next', () => undefined)],
    { pageItems, databaseUrl: link.url },
  )
  const hold = await holdCommits(engine.em(), `new.emitted = 16 and new.finished_at is null`)
  const workflow = await engine.saveWorkflow(
    { functionName: 'keyed.unanswered', outputType: 'multiple' },
    { functionName: 'keyed.unanswered.next', outputType: null },
  )
  const run = await engine.begin(workflow, null)
  await waitFor(hold.isHolding)
  link.cut()
  await hold.release()
  await waitFor(async () => (await parentOf(run)).emitted === 16)
  await waitFor(() => worker.saw('database.unavailable').length > 0)
  link.resume()
  expect(await engine.over(run)).toBe('succeeded')
  expect(await itemsOf(run)).toEqual(all)
})

test('a job that another worker takes over in its middle gives each item once', async () => {
  const stuck = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  const fn = overlapping('keyed.taken', async (number) => {
    if (number !== 5) return
    reached.resolve()
    await stuck.promise
  })
  const link = await startProxy(engine.rabbitmqUrl)
  onTestFinished(link.stop)
  const next = functionOf('keyed.taken.next', () => undefined)
  await engine.startWorker([fn, next], { pageItems, rabbitmqUrl: link.url })
  const workflow = await engine.saveWorkflow(
    { functionName: 'keyed.taken', outputType: 'multiple' },
    { functionName: 'keyed.taken.next', outputType: null },
  )
  const run = await engine.begin(workflow, null)
  await reached.promise
  await engine.startWorker([overlapping('keyed.taken'), next], { pageItems, worker: 'heir' })
  link.cut()
  expect(await engine.over(run)).toBe('succeeded')
  stuck.resolve()
  expect(await itemsOf(run)).toEqual(all)
})

test('with keys, all items of one value are told apart as well', async () => {
  const { run } = await begin(overlapping('keyed.whole'), { outputType: 'single' })
  expect(await engine.over(run)).toBe('succeeded')
  expect(await itemsOf(run)).toEqual([all])
})
