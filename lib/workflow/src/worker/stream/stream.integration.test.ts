import { startProxy, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf, type StepDraft } from '../../../test/engine.ts'
import { holdCommits } from '../../../test/hold-commits.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { watchCounters } from '../../../test/watch-counters.ts'
import {
  cancelRun,
  defineFunction,
  fail,
  type FunctionContext,
  type Page,
  page,
  type ResumableContext,
  type StepFunction,
  sendAgain,
  snooze,
} from '../../index.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const pageItems = 10

type Whole = FunctionContext<object, unknown>
type Resumable = ResumableContext<object, unknown, unknown, number>

/** A function that gives pages with a cursor, which is the number of the next item. */
const resumableOf = (name: string, run: (context: Resumable) => AsyncIterable<Page<unknown, number>>) =>
  defineFunction({ name, config: z.looseObject({}), cursor: z.int(), run })

const pageOf = (first: number, count: number) => page(numbers(first, count), first + count)

const numbers = (first: number, count: number): number[] => Array.from({ length: count }, (_, index) => first + index)

/** Starts a worker, and a run whose items nobody takes unless `taken`. */
const begin = async (fn: StepFunction, { taken = true, ...draft }: Partial<StepDraft> & { taken?: boolean } = {}) => {
  const others = taken ? [functionOf(`${fn.name}.next`, () => undefined)] : []
  const worker = await engine.startWorker([fn, ...others], { pageItems, window: 15 })
  const workflow = await engine.saveWorkflow(
    { functionName: fn.name, outputType: 'multiple', ...draft },
    { functionName: `${fn.name}.next`, outputType: null },
  )
  const run = await engine.begin(workflow, null)
  return { worker, run }
}

const parentOf = async (run: string) => {
  const [parent] = parentRows.parse(
    await engine.query(
      `select id, status, seq, attempt, claim, emitted, cursor, error from workflow_job
       where run_id = $1 and parent_id is null`,
      [run],
    ),
  )
  return parent
}

const parentRows = z.tuple([
  z.object({
    id: z.string(),
    status: z.string(),
    seq: z.int(),
    attempt: z.int(),
    claim: z.string().nullable(),
    emitted: z.int(),
    cursor: z.unknown(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
  }),
])

/** What the next step got, in the order of the items, without hidden ones. */
const itemsOf = async (run: string): Promise<unknown[]> =>
  (await engine.jobs(run)).filter(({ step, status }) => step === 1 && status !== 'hidden').map(({ payload }) => payload)

const hiddenOf = async (run: string): Promise<number> =>
  (await engine.jobs(run)).filter(({ status }) => status === 'hidden').length

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
      message: expect.stringMatching(/its text at \/\d+\/text has a NUL character/),
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

test('when the acceptance of hidden children is cut short, it is taken up again and the function is not', async () => {
  let attempts = 0
  await engine.query(`
    create function refuse_third_page() returns trigger language plpgsql as $$
      begin
        if old.status = 'hidden' and new.item_index >= 20 then raise exception 'not now'; end if;
        return new;
      end $$;
    create trigger refuse before update on workflow_job for each row execute function refuse_third_page()`)
  const { run, worker } = await begin(
    functionOf('accepted', async function* () {
      attempts += 1
      yield* numbers(0, 55)
    }),
  )
  try {
    await waitFor(() => worker.saw('delivery.handed-back').length > 0)
    expect(await itemsOf(run)).toEqual(numbers(0, 20))
    expect(await engine.untrueCounters()).toEqual([])
  } finally {
    await engine.query('drop function refuse_third_page cascade')
  }
  expect(await engine.over(run)).toBe('succeeded')
  expect(await itemsOf(run)).toEqual(numbers(0, 55))
  expect(attempts).toBe(1)
})

test('a page whose commit was not answered is there once', async () => {
  const link = await startProxy(engine.databaseUrl)
  onTestFinished(link.stop)
  const fn = resumableOf('unanswered', async function* () {
    for (let first = 0; first < 40; first += 10) yield pageOf(first, 10)
  })
  const worker = await engine.startWorker([fn, functionOf('unanswered.next', () => undefined)], {
    pageItems,
    databaseUrl: link.url,
  })
  const hold = await holdCommits(engine.em(), `new.emitted = 20 and new.finished_at is null`)
  const workflow = await engine.saveWorkflow(
    { functionName: 'unanswered', outputType: 'multiple' },
    { functionName: 'unanswered.next', outputType: null },
  )
  const run = await engine.begin(workflow, null)
  await waitFor(hold.isHolding)
  link.cut()
  await hold.release()
  await waitFor(async () => (await parentOf(run)).emitted === 20)
  await waitFor(() => worker.saw('database.unavailable').length > 0)
  link.resume()
  expect(await engine.over(run)).toBe('succeeded')
  expect(await itemsOf(run)).toEqual(numbers(0, 40))
})
