import { randomBytes } from 'node:crypto'
import { queryable } from '@esteira/outbox'
import { createRoles, waitFor } from '@esteira/test/support'
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { holdLocked, lockSqls } from '../../../test/hold-locked.ts'
import { ownFunction } from '../../../test/own-units.ts'
import { numbers, pageOf, resumableOf } from '../../../test/streams.ts'
import { useEngine } from '../../../test/use-engine.ts'
import type { WorkerEvent } from '../worker-options.ts'

let engine: Engine
let roles: Awaited<ReturnType<typeof createRoles>>

// Before the engine's own, so that its database is gone when the roles are dropped.
afterAll(() => roles.drop())

useEngine((opened) => {
  engine = opened
})

beforeAll(async () => {
  await engine.query(slowWritesSql)
  roles = await createRoles({ url: engine.databaseUrl })
  // Of the workers alone: the test may wait for longer.
  await limited(`statement_timeout = ${timeoutMs}`)
})
afterEach(async () => {
  await engine.query('truncate slow')
  await limited('lock_timeout = 0')
  await limited(`statement_timeout = ${timeoutMs}`)
})

/** Sets a limit for what workers begin from now on. */
const limited = (setting: string) =>
  engine.query(`alter role "${new URL(roles.urlFor('worker')).username}" set ${setting}`)

/** More than a statement takes; and where a machine is so slow, then it is tried again. */
const timeoutMs = 800

/**
 * What is written of jobs takes longer than a statement may where a pattern in `slow` is like what is written, or is
 * cancelled as an administrator would.
 */
const slowWritesSql = `
  create table slow (pattern text not null, "how" text not null);
  create function slow_write() returns trigger language plpgsql security definer as $$
    declare found text;
    begin
      select slow."how" into found from slow
      where concat_ws(' ', new.status, new.payload, new.output) like slow.pattern;
      if found = 'out of memory' then raise 'out of memory' using errcode = '53200'; end if;
      if found = 'cancelled' then perform pg_cancel_backend(pg_backend_pid()); end if;
      if found is not null then perform pg_sleep(60); end if;
      return new;
    end $$;
  create trigger slow_write before insert or update on workflow_job for each row execute function slow_write()`

const slowed = (pattern: string, how: 'too slow' | 'cancelled' | 'out of memory') =>
  engine.query('insert into slow values ($1, $2)', [pattern, how])

const fanOut = (functionName: string) =>
  engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName, outputType: 'single', retry: { maxAttempts: 2, backoff: 'fixed', delayMs: 1 } },
  )

for (const how of ['too slow', 'out of memory'] as const) {
  test(`one job of a group whose write is ${how} each time fails with its attempts, and says why; the others succeed`, async () => {
    await slowed('succeeded%guilty%', how)
    const gate = Promise.withResolvers<void>()
    let begun = 0
    const worker = await engine.startWorker(
      [
        functionOf('grouped', async ({ payload }) => {
          begun += 1
          await gate.promise
          return payload === 7 ? 'guilty' : payload
        }),
      ],
      { databaseUrl: roles.urlFor('worker') },
    )
    const run = await engine.begin(await fanOut('grouped'), numbers(0, 8))
    await waitFor(() => begun === 8)
    gate.resolve()
    expect(await engine.over(run)).toBe('failed')
    expect(begun).toBe(9)
    expect(worker.saw('commit.cut-short').length).toBeGreaterThan(0)
    const failed = (await engine.jobs(run)).filter(({ status }) => status === 'failed')
    expect(failed).toMatchObject([{ payload: 7, attempt: 2, error: { code: 'write_cut_short' } }])
    expect(failed[0]?.error?.message).toMatch(how === 'too slow' ? /statement timeout/ : /out of memory/)
    expect(await engine.attempts(failed[0]?.id ?? '')).toMatchObject([{ outcome: 'retried' }, { outcome: 'failed' }])
  })
}

test('while all that is under way is cancelled again and again, nothing is lost, and no attempt counts', async () => {
  const gate = Promise.withResolvers<void>()
  let begun = 0
  const worker = await engine.startWorker([
    functionOf('cancelled', async ({ payload }) => {
      begun += 1
      await gate.promise
      return payload
    }),
  ])
  const run = await engine.begin(await fanOut('cancelled'), numbers(0, 20))
  await waitFor(() => begun === 20)
  await slowed('%', 'cancelled')
  gate.resolve()
  await waitFor(() => worker.saw('commit.cut-short').length >= 4)
  expect(worker.saw('job.written')).toEqual([])
  await engine.query('truncate slow')
  expect(await engine.over(run)).toBe('succeeded')
  expect(begun).toBe(20)
  for (const { id } of await engine.jobs(run)) expect(await engine.attempts(id)).toEqual([])
})

/** What ends a wait for a lock, and after how long; of a limit on locks alone no less is kept. */
const limitsOnLocks = [
  ['statement_timeout', 300],
  ['lock_timeout', 600],
] as const

/** How many jobs have left their groups for locks that somebody holds. */
const heldUpIn = (events: readonly WorkerEvent[]): number =>
  events.reduce((sum, event) => (event.kind === 'commit.held-up' ? sum + event.jobs : sum), 0)

for (const [limit, limitMs] of limitsOnLocks) {
  test(`a run that is held locked for longer than ${limit} has no attempt counted, and jobs of others pass`, async () => {
    await limited(`${limit} = ${limitMs}`)
    const gate = Promise.withResolvers<void>()
    let begun = 0
    const worker = await engine.startWorker(
      [
        functionOf(limit, async ({ payload }) => {
          begun += 1
          await gate.promise
          return payload
        }),
      ],
      { databaseUrl: roles.urlFor('worker') },
    )
    const workflow = await fanOut(limit)
    const held = await engine.begin(workflow, numbers(0, 3))
    const other = await engine.begin(workflow, numbers(0, 3))
    await waitFor(() => begun === 6)
    const holder = engine.em()
    await holder.begin()
    await queryable(holder).query('select from workflow_run_step where run_id = $1 for update', [held])
    gate.resolve()
    await waitFor(async () => (await engine.statusOf(other)) === 'succeeded')
    // Their messages are acked: their places do not wait for the others of their group.
    await waitFor(() => worker.saw('job.written').length === 3)
    // All of its jobs wait outside of the groups now, where no result is blamed.
    await waitFor(() => heldUpIn(worker.events) >= 3)
    await holder.rollback()
    expect(await engine.over(held)).toBe('succeeded')
    expect(begun).toBe(6)
    for (const { id } of await engine.jobs(held)) expect(await engine.attempts(id)).toEqual([])
  })
}

test('where the role of a worker waits for locks only for a moment, a commit waits for another all the same', async () => {
  await limited('lock_timeout = 50')
  await limited('statement_timeout = 0')
  const gate = Promise.withResolvers<void>()
  let begun = 0
  const fn = functionOf('for a moment', async () => {
    begun += 1
    await gate.promise
  })
  const worker = await engine.startWorker([fn], { databaseUrl: roles.urlFor('worker') })
  const run = await engine.begin(await fanOut('for a moment'), [1])
  await waitFor(() => begun === 1)
  const holder = await holdLocked(engine, lockSqls.counters, run)
  gate.resolve()
  await waitFor(async () => (await engine.query(waitingSql)).length > 0)
  await holder.release()
  expect(await engine.over(run)).toBe('succeeded')
  expect(heldUpIn(worker.events)).toBe(0)
})

/** Sessions that have waited for a lock for longer than one that comes of others' commits. */
const waitingSql = `
  select from pg_stat_activity
  where datname = current_database() and wait_event_type = 'Lock' and query_start < clock_timestamp() - interval '300 ms'`

for (const [limit, limitMs] of limitsOnLocks) {
  test(`while a table is locked for longer than ${limit} all that has finished waits, and no attempt counts`, async () => {
    const name = `table ${limit}`
    await limited(`${limit} = ${limitMs}`)
    const gate = Promise.withResolvers<void>()
    let begun = 0
    const worker = await engine.startWorker(
      [
        functionOf(name, async ({ payload }) => {
          begun += 1
          await gate.promise
          return payload
        }),
        functionOf(`${name}.next`, () => undefined),
      ],
      { databaseUrl: roles.urlFor('worker') },
    )
    const workflow = await engine.saveWorkflow(
      { functionName: 'CronJob', outputType: 'multiple' },
      { functionName: name, outputType: 'single', retry: { backoff: 'fixed', delayMs: 1_000 } },
      { functionName: `${name}.next`, outputType: null },
    )
    const run = await engine.begin(workflow, numbers(0, 2))
    await waitFor(() => begun === 2)
    // As by an index that is made without `concurrently`. An attempt that is to be made again moves no counters.
    const holder = engine.em()
    await holder.begin()
    await queryable(holder).query('lock table workflow_run_step in share mode', [])
    gate.resolve()
    // The last of these is said behind the try that is to tell whether a result is to blame.
    await waitFor(() => worker.saw('commit.cut-short').length + heldUpIn(worker.events) >= 3)
    await holder.rollback()
    expect(await engine.over(run)).toBe('succeeded')
    expect(begun).toBe(2)
    for (const { id } of await engine.jobs(run)) expect(await engine.attempts(id)).toEqual([])
  })
}

/** Runs a function that gives 30 items by pages of ten, and asks whether it may go on behind the first page. */
const beginPaged = async (name: string, isResumable: boolean) => {
  const gate = Promise.withResolvers<void>()
  let [begun, asked] = [0, 0]
  const ask = (): Promise<void> => {
    asked += 1
    return gate.promise
  }
  const whole = functionOf(name, async function* () {
    begun += 1
    yield* numbers(0, 20)
    await ask()
    yield* numbers(20, 10)
  })
  const resumable = resumableOf(name, async function* ({ cursor }) {
    begun += 1
    for (let first = cursor ?? 0; first < 30; first += 10) {
      yield pageOf(first, 10)
      if (first === 0) await ask()
    }
  })
  const worker = await engine.startWorker(
    [isResumable ? resumable : whole, functionOf(`${name}.next`, () => undefined)],
    { pageItems: 10, databaseUrl: roles.urlFor('worker') },
  )
  const workflow = await engine.saveWorkflow(
    { functionName: name, outputType: 'multiple', retry: { maxAttempts: 1 } },
    { functionName: `${name}.next`, outputType: null },
  )
  const run = await engine.begin(workflow, null)
  await waitFor(() => asked === 1)
  // Of what is given up from here on none is theirs.
  const first = isResumable ? 10 : 0
  const areDone = async () => (await engine.jobs(run)).filter(({ status }) => status === 'succeeded').length === first
  await waitFor(areDone)
  return {
    run,
    goOn: gate.resolve,
    isHeldUp: () => heldUpIn(worker.events) > 0,
    /** More than a page is tried until what is in it may be to blame. */
    isGivenUp: () => worker.saw('commit.cut-short').length + worker.saw('database.unavailable').length >= 5,
    expectAll: async () => {
      expect(await engine.over(run)).toBe('succeeded')
      const [parent, ...children] = await engine.jobs(run)
      expect(children.map(({ payload }) => payload)).toEqual(numbers(0, 30))
      expect(await engine.attempts(parent?.id ?? '')).toEqual([])
      expect(begun).toBe(1)
    },
  }
}

// What is cancelled: all writes of jobs, or the sign that all pages are there, or their acceptance.
for (const [isResumable, pattern] of [
  [true, '%'],
  [false, '%'],
  [false, 'running%'],
  [false, 'staged%'],
] as const) {
  const kind = isResumable ? 'with a cursor' : 'without one'
  test(`while writes like ${pattern} are cancelled, a job of pages ${kind} waits and has no attempt counted`, async () => {
    const paged = await beginPaged(`cancelled ${kind} ${pattern}`, isResumable)
    await slowed(pattern, 'cancelled')
    paged.goOn()
    await waitFor(paged.isGivenUp)
    await engine.query('truncate slow')
    await paged.expectAll()
  })
}

test('pages of a run that is held locked for longer than a statement may take wait, and no attempt counts', async () => {
  await limited('statement_timeout = 300')
  const paged = await beginPaged('paged and held', true)
  const holder = engine.em()
  await holder.begin()
  await queryable(holder).query('select from workflow_run_step where run_id = $1 for update', [paged.run])
  paged.goOn()
  await waitFor(paged.isHeldUp)
  await holder.rollback()
  await paged.expectAll()
})

test('a page whose write takes too long each time ends its attempt, and what came before it stays', async () => {
  await slowed('% 15', 'cancelled')
  await engine.startWorker(
    [
      resumableOf('paged', async function* ({ cursor }) {
        for (let first = cursor ?? 0; first < 30; first += 10) yield pageOf(first, 10)
      }),
      functionOf('paged.next', () => undefined),
    ],
    { pageItems: 10 },
  )
  const workflow = await engine.saveWorkflow(
    { functionName: 'paged', outputType: 'multiple', retry: { maxAttempts: 2, backoff: 'fixed', delayMs: 1 } },
    { functionName: 'paged.next', outputType: null },
  )
  const run = await engine.begin(workflow, null)
  expect(await engine.over(run)).toBe('failed')
  const [parent, ...children] = await engine.jobs(run)
  expect(parent).toMatchObject({ status: 'failed', attempt: 2, error: { code: 'write_cut_short' } })
  expect(children).toHaveLength(10)
})

test('a job with a unit of work of its own that Postgres gives up has had an attempt', async () => {
  await slowed('succeeded%own%', 'cancelled')
  let begun = 0
  await engine.startWorker([ownFunction('own', () => `own ${(begun += 1)}`)])
  const workflow = await engine.saveWorkflow({
    functionName: 'own',
    outputType: 'single',
    retry: { maxAttempts: 2, backoff: 'fixed', delayMs: 1 },
  })
  const run = await engine.begin(workflow, null)
  expect(await engine.over(run)).toBe('failed')
  expect(begun).toBe(2)
  expect(await engine.jobs(run)).toMatchObject([{ attempt: 2, error: { code: 'write_cut_short' } }])
})

/** A statement that has this text may look at ten jobs, or write ten; all others do as they like. */
const fewAtOnceSql = (text: string) => `
  create function is_among_few() returns boolean language plpgsql as $$
    declare rows int := 1;
    begin
      if position('${text}' in current_query()) = 0 then return true; end if;
      if current_setting('few.at', true) = statement_timestamp()::text then
        rows := current_setting('few.rows')::int + 1;
      end if;
      perform set_config('few.at', statement_timestamp()::text, false), set_config('few.rows', rows::text, false);
      if rows > 10 then raise 'too slow' using errcode = '57014'; end if;
      return true;
    end $$`

const readsSql = `
  alter table workflow_job enable row level security;
  create policy everybody on workflow_job using (true);
  create policy few on workflow_job as restrictive using (is_among_few())`

const writesSql = `
  create function count_few() returns trigger language plpgsql as $$
    begin perform is_among_few(); return new; end $$;
  create trigger few before update on workflow_job for each row execute function count_few()`

const asManySql = `
  alter table workflow_job disable row level security;
  drop policy if exists everybody on workflow_job;
  drop policy if exists few on workflow_job;
  drop trigger if exists few on workflow_job;
  drop function if exists count_few;
  drop function is_among_few`

for (const [what, text, guardSql] of [
  ['found', '"leftBytes"', readsSql],
  ['claimed', 'with asked as', writesSql],
  ['read', 'select id, payload from workflow_job', readsSql],
] as const) {
  test(`where Postgres gives up jobs that are ${what} together, they are ${what} in smaller groups`, async () => {
    await engine.query(fewAtOnceSql(text))
    await engine.query(guardSql)
    // Else it may look at all of so few.
    await limited('enable_seqscan = off')
    onTestFinished(async () => {
      await limited('enable_seqscan = on')
      await engine.query(asManySql)
    })
    const name = `few ${what}`
    const run = await engine.begin(
      await engine.saveWorkflow(
        { functionName: 'CronJob', outputType: 'multiple' },
        { functionName: name, outputType: 'multiple' },
        { functionName: `${name}.next`, outputType: null },
      ),
      numbers(0, 40).map((item) => `${item} ${randomBytes(2_000).toString('base64')}`),
    )
    const worker = await engine.startWorker(
      [
        resumableOf(name, async function* () {
          yield pageOf(0, 1)
          yield pageOf(1, 1)
        }),
        functionOf(`${name}.next`, () => undefined),
      ],
      { databaseUrl: roles.urlFor('worker'), pageItems: 1 },
    )
    expect(await engine.over(run)).toBe('succeeded')
    expect((await engine.jobs(run)).filter(({ step }) => step === 2)).toHaveLength(80)
    expect(worker.saw('load.cut-short').length).toBeGreaterThan(0)
  })
}
