import { randomUUID } from 'node:crypto'
import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { findJobs } from '../find-jobs.ts'
import type { Ending, FinishedJob } from '../held-job.ts'
import type { NextStep } from '../../payload/place-result.ts'
import { writeUnit } from './write-unit.ts'

let engine: Engine
let lane: number

useEngine((opened, unread) => {
  engine = opened
  lane = unread
})

/** A run whose first step has the given jobs on the belt, and a way to end them all alike, in one unit of work. */
const beginJobs = async (payloads: readonly unknown[]) => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'unit', outputType: 'multiple' },
    { functionName: 'unit.next', outputType: null },
  )
  const run = await engine.begin(workflow, payloads)
  const ids = (await engine.jobs(run)).filter(({ step }) => step === 1).map(({ id }) => id)
  const next: NextStep = { id: workflow.stepIds[2] ?? '', functionName: 'unit.next' }
  const endAll = async (em: ReturnType<Engine['em']>, endingOf: (next: NextStep) => Ending) => {
    const found = [...(await findJobs(engine.em(), ids)).values()]
    const ends: FinishedJob[] = found.map((job) => ({
      job: { ...job, functionName: 'unit' },
      ending: endingOf(next),
      elapsedMs: 1,
    }))
    return em.transactional((tx) => writeUnit(tx, { ends }, { worker: 'test', lane }))
  }
  return { run, ids, next, endAll }
}

const succeeded = (items: unknown[]) => (next: NextStep) => ({
  kind: 'succeeded' as const,
  placed: { kind: 'items' as const, items, next },
})

test('a group of jobs writes its children, its messages and its counters with one statement each', async () => {
  const { run, endAll } = await beginJobs([1, 2, 3, 4])
  await engine.query(`
    create table seen_statement (table_name text, event text, rows int);
    create function note_inserts() returns trigger language plpgsql as $$
      begin insert into seen_statement select tg_table_name, tg_op, count(*) from written; return null; end $$;
    create trigger note after insert on workflow_job referencing new table as written
      for each statement execute function note_inserts();
    create trigger note after insert on outbox_message referencing new table as written
      for each statement execute function note_inserts();
    create trigger note after update on workflow_run_step referencing new table as written
      for each statement execute function note_inserts()`)
  try {
    await endAll(engine.em(), succeeded(Array.from({ length: 50 }, (_, index) => index)))
    expect(await engine.query('select * from seen_statement where rows > 0')).toEqual([
      { table_name: 'workflow_job', event: 'INSERT', rows: 200 },
      { table_name: 'outbox_message', event: 'INSERT', rows: 200 },
      { table_name: 'workflow_run_step', event: 'UPDATE', rows: 2 },
    ])
  } finally {
    await engine.query('drop function note_inserts cascade; drop table seen_statement')
  }
  expect((await engine.jobs(run)).filter(({ step }) => step === 2)).toHaveLength(200)
})

test('the history of a group is one statement, and a group in which all succeeded has none', async () => {
  await engine.query(`
    create table seen_history (rows int);
    create function note_history() returns trigger language plpgsql as $$
      begin insert into seen_history select count(*) from written; return null; end $$;
    create trigger note after insert on workflow_attempt referencing new table as written
      for each statement execute function note_history()`)
  try {
    await (await beginJobs([1, 2])).endAll(engine.em(), succeeded([]))
    expect(await engine.query('select * from seen_history')).toEqual([])
    await (await beginJobs([1, 2, 3])).endAll(engine.em(), () => failed)
    expect(await engine.query('select * from seen_history')).toEqual([{ rows: 3 }])
  } finally {
    await engine.query('drop function note_history cascade; drop table seen_history')
  }
})

test('a unit of work waits for the counters only when all its rows are written', async () => {
  const { run, endAll } = await beginJobs([1])
  const holder = engine.em()
  await holder.begin()
  await queryable(holder).query('select from workflow_run_step where run_id = $1 for no key update', [run])
  const writing = endAll(engine.em(), succeeded(['a']))
  const waiting = await waitFor(async () => waitingRows.parse(await engine.query(waitingSql))[0] ?? false, {
    describe: 'the unit of work to wait',
  })
  await holder.rollback()
  expect((await writing).won.size).toBe(1)
  expect(waiting.query).toContain('update workflow_run_step')
  expect(waiting.tables).toEqual(expect.arrayContaining(['workflow_job', 'outbox_message']))
})

/** Sessions that wait for another's lock, and the tables that they have written. */
const waitingSql = `
  select query, array(
    select relation::regclass::text from pg_locks
    where pg_locks.pid = activity.pid and mode = 'RowExclusiveLock' and locktype = 'relation'
  ) as tables
  from pg_stat_activity activity
  where datname = current_database() and wait_event_type = 'Lock'`

const waitingRows = z.array(z.object({ query: z.string(), tables: z.array(z.string()) }))

test('an input that is passed on is copied as it is stored, digit by digit', async () => {
  const { run, endAll } = await beginJobs([null])
  const stored = '{"exact": 12345678901234567890.12345678901234567890, "zeros": 1.500}'
  await engine.query(`update workflow_job set payload = $2 where run_id = $1 and parent_id is not null`, [run, stored])
  await endAll(engine.em(), (next) => ({ kind: 'succeeded', placed: { kind: 'input', next } }))
  const copies = await engine.query(
    `select payload::text from workflow_job where run_id = $1 and step_id in
       (select id from workflow_step where function_name = 'unit.next')`,
    [run],
  )
  expect(copies).toEqual([{ payload: stored }])
})

test('a function that changes its payload does not change what the next step gets', async () => {
  await engine.startWorker([
    functionOf('changes', ({ payload }) => {
      if (Array.isArray(payload)) payload.push('changed')
    }),
    functionOf('changes.next', ({ payload }) => payload),
  ])
  const workflow = await engine.saveWorkflow(
    { functionName: 'changes', outputType: null },
    { functionName: 'changes.next', outputType: 'single' },
  )
  const run = await engine.begin(workflow, ['given'])
  expect(await engine.over(run)).toBe('succeeded')
  expect(await engine.jobs(run)).toMatchObject([{ payload: ['given'] }, { payload: ['given'], output: ['given'] }])
})

test('jobs that somebody else moved are left out, children, messages and counters too', async () => {
  const { run, ids, next, endAll } = await beginJobs([1, 2])
  const ends = (await findJobs(engine.em(), ids)).values()
  await engine.query(`update workflow_job set claim = $2, status = 'running' where id = $1`, [ids[0], randomUUID()])
  const ending = succeeded(['child'])(next)
  const finished = [...ends].map((job) => ({ job: { ...job, functionName: 'unit' }, ending, elapsedMs: 1 }))
  const { won } = await engine.em().transactional((tx) => writeUnit(tx, { ends: finished }, { worker: 'test', lane }))
  expect([...won].map(({ job }) => job.id)).toEqual([ids[1]])
  expect((await engine.jobs(run)).map(({ status, parentId }) => [status, parentId])).toMatchObject([
    ['succeeded', null],
    ['running', expect.anything()],
    ['succeeded', expect.anything()],
    ['queued', ids[1]],
  ])
  expect(await engine.untrueCounters()).toEqual([])
  // Its message is the first one still, and answers for it.
  await engine.query(`update workflow_job set claim = null, status = 'queued' where id = $1`, [ids[0]])
  expect((await endAll(engine.em(), () => failed)).won.size).toBe(1)
})

test('an attempt under an older message ends no job that has a newer one, though nobody holds it', async () => {
  const { run, ids, endAll, next } = await beginJobs([1])
  const older = [...(await findJobs(engine.em(), ids)).values()]
  await endAll(engine.em(), () => ({ kind: 'requeued', attempt: 0, delayMs: 0, error: null }))
  const ending = succeeded(['child'])(next)
  const ends = older.map((job) => ({ job: { ...job, functionName: 'unit' }, ending, elapsedMs: 1 }))
  const { won } = await engine.em().transactional((tx) => writeUnit(tx, { ends }, { worker: 'test', lane }))
  expect(won.size).toBe(0)
  expect((await engine.jobs(run)).slice(1)).toMatchObject([{ status: 'queued', seq: 2 }])
  expect((await endAll(engine.em(), () => failed)).won.size).toBe(1)
})

test('an attempt that lost its job to another leaves nothing in the history', async () => {
  const { ids, endAll } = await beginJobs([1])
  const [id = ''] = ids
  const ends = [...(await findJobs(engine.em(), ids)).values()].map((job): FinishedJob => ({
    job: { ...job, functionName: 'unit', claim: randomUUID() },
    ending: failed,
    elapsedMs: 1,
  }))
  await engine.em().transactional((tx) => writeUnit(tx, { ends }, { worker: 'test', lane }))
  expect(await engine.attempts(id)).toEqual([])
  await endAll(engine.em(), () => failed)
  expect(await engine.attempts(id)).toMatchObject([{ seq: 1, attempt: 1, outcome: 'failed', worker: 'test' }])
})

const failed: Ending = { kind: 'failed', error: { code: 'attempt_failed', message: 'no' } }
