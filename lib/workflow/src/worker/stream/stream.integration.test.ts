import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { holdCommits } from '../../../test/hold-commits.ts'
import { numbers, openStreams, pageItems, pageOf, resumableOf, type Whole } from '../../../test/streams.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { watchCounters } from '../../../test/watch-counters.ts'
import { defineFunction } from '../../index.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const { begin, hiddenOf, itemsOf, parentOf } = openStreams(() => engine)

test('items that end within the first page are written with the end of their job, which nobody claims', async () => {
  await engine.query(`
    create table seen_update (claim uuid, status text);
    create function note_update() returns trigger language plpgsql as $$
      begin insert into seen_update values (new.claim, new.status); return null; end $$;
    create trigger note after update on workflow_job for each row when (new.parent_id is null)
      execute function note_update()`)
  try {
    const { run } = await begin(
      functionOf('short', async function* () {
        yield* numbers(0, pageItems - 1)
      }),
      { taken: false },
    )
    await waitFor(async () => (await parentOf(run)).status === 'succeeded')
    expect(await itemsOf(run)).toEqual(numbers(0, pageItems - 1))
    expect(await engine.query(`select * from seen_update`)).toEqual([{ claim: null, status: 'succeeded' }])
    await endItems(run)
  } finally {
    await engine.query('drop function note_update cascade; drop table seen_update')
  }
})

/** Lets somebody take the items of a run that nobody took yet. */
const endItems = async (run: string): Promise<void> => {
  const [{ name }] = z.tuple([z.object({ name: z.string() })]).parse(
    await engine.query(
      `select function_name as name from workflow_step
       where position = 1 and workflow_id = (select workflow_id from workflow_run where id = $1)`,
      [run],
    ),
  )
  await engine.startWorker([functionOf(name, () => undefined)])
  await engine.over(run)
}

test('pages with a cursor are there while the function still runs, with exact counters, and each item once', async () => {
  const gate = Promise.withResolvers<void>()
  const { run } = await begin(
    resumableOf('flows', async function* () {
      for (let first = 0; first < 100; first += 5) {
        if (first === 50) await gate.promise
        yield pageOf(first, 5)
      }
    }),
  )
  const watch = watchCounters(engine, 15)
  await waitFor(async () => (await itemsOf(run)).length === 50)
  expect(await parentOf(run)).toMatchObject({ status: 'running', emitted: 50, cursor: 50, claim: expect.any(String) })
  gate.resolve()
  expect(await engine.over(run)).toBe('succeeded')
  const { looks, seen } = await watch.stop()
  expect(seen).toEqual([])
  expect(looks).toBeGreaterThan(1)
  expect(await itemsOf(run)).toEqual(numbers(0, 100))
  expect(await parentOf(run)).toMatchObject({ status: 'succeeded', emitted: 100, claim: null })
})

test('children of a function that cannot go on are hidden and uncounted until all are there', async () => {
  const gate = Promise.withResolvers<void>()
  const { run } = await begin(
    functionOf('whole', async function* () {
      yield* numbers(0, 55)
      await gate.promise
      yield* numbers(55, 45)
    }),
  )
  const watch = watchCounters(engine, 15)
  await waitFor(async () => (await hiddenOf(run)) === 50)
  expect(await itemsOf(run)).toEqual([])
  expect(await parentOf(run)).toMatchObject({ status: 'running', emitted: 0 })
  expect(
    await engine.query(`select sum(staged + belt)::int as open from workflow_run_step where run_id = $1`, [run]),
  ).toEqual([{ open: 1 }])
  gate.resolve()
  expect(await engine.over(run)).toBe('succeeded')
  expect((await watch.stop()).seen).toEqual([])
  expect(await itemsOf(run)).toEqual(numbers(0, 100))
  expect(await engine.query(`select from workflow_hidden_page`)).toEqual([])
})

test.each(['resumable', 'whole'])('no more than two pages of a %s stream are in memory', async (kind) => {
  let given = 0
  const count = () => {
    given += 1
    return given
  }
  const name = `bounded.${kind}`
  const fn =
    kind === 'whole'
      ? functionOf(name, async function* () {
          for (let item = 0; item < 45; item += 1) yield count()
        })
      : resumableOf(name, async function* () {
          for (let item = 0; item < 45; item += 1) yield pageOf(count() - 1, 1)
        })
  // The claim before the first page is not answered, so no page can be written.
  const hold = await holdCommits(engine.em(), `new.claim is not null`)
  onTestFinished(hold.release)
  const { run } = await begin(fn)
  await waitFor(hold.isHolding)
  await waitFor(() => given === 2 * pageItems)
  for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate)
  expect(given).toBe(2 * pageItems)
  await hold.release()
  expect(await engine.over(run)).toBe('succeeded')
  expect(await itemsOf(run)).toHaveLength(45)
})

test('emit gives items page by page, for a function that is no generator, and waits for room', async () => {
  let given = 0
  const fn = functionOf('emits', async ({ emit }: Whole) => {
    for (; given < 100; given += 4) await emit(numbers(given, 4))
  })
  const resumable = defineFunction({
    name: 'emits.on',
    config: z.looseObject({}),
    cursor: z.int(),
    run: async ({ emit }) => {
      for (let first = 0; first < 100; first += 4) await emit(numbers(first, 4), first + 4)
    },
  })
  for (const { run } of [await begin(fn), await begin(resumable)]) {
    expect(await engine.over(run)).toBe('succeeded')
    expect(await itemsOf(run)).toEqual(numbers(0, 100))
  }
})

test('a function that emits and then gives a result as well fails, and so does one whose pages have no cursor', async () => {
  const both = await begin(
    functionOf('emits.both', async ({ emit }: Whole) => {
      await emit([1])
      return [2]
    }),
  )
  expect(await engine.over(both.run)).toBe('failed')
  expect((await parentOf(both.run)).error).toMatchObject({ code: 'output_invalid' })
  const bare = await begin(
    // @ts-expect-error: an item that is in no page.
    resumableOf('bare', async function* () {
      yield 1
    }),
  )
  expect(await engine.over(bare.run)).toBe('failed')
  expect((await parentOf(bare.run)).error).toMatchObject({ code: 'cursor_invalid' })
})
