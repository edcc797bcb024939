import { randomUUID } from 'node:crypto'
import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import type { EntityManager } from '@mikro-orm/postgresql'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { watchCounters } from '../../../test/watch-counters.ts'
import { claimJobs } from '../../job/claim-jobs.ts'
import { findJobs } from '../../job/find-jobs.ts'
import type { Ending } from '../../job/held-job.ts'
import { acceptPage } from '../../job/pages/accept-page.ts'
import { hidePage, sealPages } from '../../job/pages/hide-page.ts'
import { sendAgain } from '../send-again.ts'
import { writeUnit } from '../../job/unit/write-unit.ts'
import { beginCancel, cancelRun, carryOnCancels } from '../cancel-run.ts'
import { fromTheStart } from './cancel-jobs.ts'
import { loadSteps } from '../load-steps.ts'
import { retryRun } from '../retry-run.ts'
import { releaseGroup, releaseWaitingJobs, takeSql } from './release.ts'
import { settle } from './settle.ts'

let engine: Engine
let lane: number

useEngine((opened, unread) => {
  engine = opened
  lane = unread
})

const window = 10

/** A run whose step 1 has so many jobs on the belt, each of which leads to jobs of step 2 behind a window of ten. */
const beginRun = async (parents: number) => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'split', outputType: 'multiple' },
    { functionName: 'work', outputType: null },
  )
  const run = await engine.begin(workflow, numbers(parents))
  const next = { id: workflow.stepIds[2] ?? '', functionName: 'work' }

  const jobsOf = async (step: number) => (await engine.jobs(run)).filter((job) => job.step === step)
  const end = async (em: EntityManager, ids: readonly string[], functionName: string, ending: Ending) => {
    const found = await findJobs(em, ids)
    const ends = [...found.values()].map((job) => ({ job: { ...job, functionName }, ending, elapsedMs: 1 }))
    return em.transactional((tx) => writeUnit(tx, { ends }, { worker: 'test', lane, window }))
  }
  return {
    run,
    stepId: next.id,
    jobsOf,
    /** Ends a job of step 1 with so many items. */
    split: async (parent: number, items: number, em = engine.em()) => {
      const id = (await jobsOf(1))[parent]?.id ?? ''
      return end(em, [id], 'split', { kind: 'succeeded', placed: { kind: 'items', items: numbers(items), next } })
    },
    /** Hides so many items of a job of step 1; what is returned accepts them and ends it. */
    hide: async (parent: number, items: number) => {
      const id = (await jobsOf(1))[parent]?.id ?? ''
      const [step] = (await loadSteps(engine.em(), workflow.id, 1)).slice(1)
      const found = (await findJobs(engine.em(), [id])).get(id)
      if (found === undefined || step === undefined) throw new Error('there is no job')
      const claim = randomUUID()
      await claimJobs(engine.em(), [{ job: found, next: claim }], 'test')
      const job = { ...found, functionName: 'split', step, claim, accepted: claim }
      await engine.em().transactional((em) => hidePage(em, { job, items: numbers(items), next }, 0))
      return async () => {
        await engine.em().transactional((em) => sealPages(em, job))
        await engine.em().transactional((em) => acceptPage(em, job, { window }))
        await end(engine.em(), [id], 'split', { kind: 'succeeded', placed: { kind: 'items', items: [], next } })
      }
    },
    /** Ends so many jobs of step 2 that are on the belt, the first ones first. */
    work: async (jobs: number) => {
      const queued = (await jobsOf(2)).filter(({ status }) => status === 'queued').slice(0, jobs)
      const ids = queued.map(({ id }) => id)
      return end(engine.em(), ids, 'work', { kind: 'succeeded', placed: { kind: 'output', output: null } })
    },
    /** Ends one of them that fails. */
    fail: (id: string) =>
      end(engine.em(), [id], 'work', { kind: 'failed', error: { code: 'function_failed', message: 'never' } }),
    /** Puts so many of them off for an hour. */
    putOff: async (jobs: number) => {
      const queued = (await jobsOf(2)).filter(({ status }) => status === 'queued').slice(0, jobs)
      const ids = queued.map(({ id }) => id)
      return end(engine.em(), ids, 'work', { kind: 'requeued', attempt: 0, delayMs: 3_600_000, error: null })
    },
    counted: async () => {
      const rows = await engine.query(
        `select staged::int, belt::int, succeeded::int, cancelled::int from workflow_run_step where step_id = $1`,
        [next.id],
      )
      return countedRows.parse(rows)[0]
    },
    /** The `seq` of every message of step 2 that is in the outbox, by the place of its job. */
    messages: async () => {
      const rows = await engine.query(
        `select job.item_index as place, (message.payload ->> 'seq')::int as seq
         from outbox_message message join workflow_job job on job.id::text = message.payload ->> 'jobId'
         where job.step_id = $1 order by message.id`,
        [next.id],
      )
      return messageRows.parse(rows).map(({ place, seq }) => [place, seq])
    },
    close: async () => {
      await beginCancel(engine.em(), run)
      await carryOnCancels(engine.em())
    },
  }
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)
const countedRows = z.tuple([z.object({ staged: z.int(), belt: z.int(), succeeded: z.int(), cancelled: z.int() })])
const messageRows = z.array(z.object({ place: z.int(), seq: z.int() }))

/** Whether a session of the database waits for a lock of another. */
const isSomebodyWaiting = async (): Promise<boolean> =>
  (await engine.query(`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`))
    .length > 0

test('of more jobs than the window has room for, the first are queued with a message and the others wait', async () => {
  const run = await beginRun(2)
  await run.split(0, 25)
  expect(await run.counted()).toMatchObject({ staged: 15, belt: 10 })
  expect((await run.jobsOf(2)).map(({ status }) => status)).toEqual([
    ...numbers(10).map(() => 'queued'),
    ...numbers(15).map(() => 'staged'),
  ])
  expect(await run.messages()).toEqual(numbers(10).map((place) => [place, 1]))
  expect(await engine.query(`select from workflow_job where status = 'staged' and enqueued_at is not null`)).toEqual([])
  // Who comes later does not overtake those that wait, room or not.
  await run.work(1)
  await run.split(1, 1)
  expect(await run.counted()).toMatchObject({ staged: 16, belt: 9 })
  await run.close()
})

test('a unit of work hints when half of a window with jobs behind it is free, and then it is filled up in order', async () => {
  const run = await beginRun(1)
  await run.split(0, 25)
  expect((await run.work(4)).toSettle).toEqual([])
  await settle(engine.em(), [run.run], { lane, window })
  expect(await run.counted()).toMatchObject({ staged: 15, belt: 6 })
  const { toSettle } = await run.work(1)
  expect(toSettle).toEqual([run.run])
  await settle(engine.em(), toSettle, { lane, window })
  expect(await run.counted()).toEqual({ staged: 10, belt: 10, succeeded: 5, cancelled: 0 })
  // A released job is of a new generation, whatever messages of it there were.
  expect((await run.messages()).slice(10)).toEqual([10, 11, 12, 13, 14].map((place) => [place, 2]))
  expect((await run.jobsOf(2))[14]).toMatchObject({ status: 'queued', seq: 2 })
  expect(await engine.untrueCounters()).toEqual([])
  await run.close()
})

test('units that take the same room at the same moment do not exceed the window together', async () => {
  const run = await beginRun(2)
  const first = engine.em()
  await first.begin()
  await run.split(0, 8, first)
  const second = run.split(1, 8)
  await waitFor(isSomebodyWaiting)
  await first.commit()
  await second
  expect(await run.counted()).toMatchObject({ staged: 6, belt: 10 })
  expect(await engine.untrueCounters()).toEqual([])
  expect(await engine.unconserved()).toEqual([])
  // The messages of the six are of a generation that is never on the belt.
  expect(await run.messages()).toHaveLength(16)
  await run.work(10)
  await settle(engine.em(), [run.run], { lane, window })
  expect((await run.messages()).slice(16)).toEqual([2, 3, 4, 5, 6, 7].map((place) => [place, 2]))
  await run.close()
})

test('jobs below the floor, as a unit of work leaves them that drew its ids early and committed late, are released', async () => {
  const run = await beginRun(1)
  await run.split(0, 25)
  await engine.query(
    `update workflow_run_step set released_to = 'ffffffff-ffff-ffff-ffff-ffffffffffff' where step_id = $1`,
    [run.stepId],
  )
  await run.work(5)
  await settle(engine.em(), [run.run], { lane, window })
  expect(await run.counted()).toMatchObject({ staged: 10, belt: 10 })
  await run.close()
})

test('of jobs that wait on both sides of the floor no more are released than there is room for', async () => {
  const run = await beginRun(1)
  await run.split(0, 25)
  const floor = (await run.jobsOf(2))[22]?.id
  await engine.query(`update workflow_run_step set released_to = $2 where step_id = $1`, [run.stepId, floor])
  await run.work(5)
  await settle(engine.em(), [run.run], { lane, window })
  expect(await run.counted()).toMatchObject({ staged: 10, belt: 10 })
  expect((await run.messages()).slice(10)).toEqual([10, 11, 22, 23, 24].map((place) => [place, 2]))
  await run.close()
})

for (const how of ['alone', 'with its run'] as const) {
  test(`a failed job that is sent again ${how} comes before the many that wait behind the last one released`, async () => {
    const run = await beginRun(1)
    await run.split(0, 60)
    const [first] = await run.jobsOf(2)
    await run.fail(first?.id ?? '')
    await run.work(9)
    await settle(engine.em(), [run.run], { lane, window })
    // With the window full it has to wait.
    if (how === 'alone') expect(await sendAgain(engine.em(), first?.id ?? '', { lane, window })).toBe('sent')
    else expect(await retryRun(engine.em(), run.run, { lane, window })).toEqual({ jobs: 1 })
    expect((await run.jobsOf(2))[0]).toMatchObject({ status: 'staged' })
    await run.work(5)
    await settle(engine.em(), [run.run], { lane, window })
    expect((await run.jobsOf(2))[0]).toMatchObject({ status: 'queued', seq: 2 })
    // And what comes next is what waits longest.
    expect((await run.messages()).slice(20)).toEqual([0, 20, 21, 22, 23].map((place) => [place, 2]))
    await run.close()
  })
}

test('where nothing was released yet, who begins to wait comes behind those that wait already', async () => {
  const { split, work, jobsOf, run } = await beginRun(2)
  await split(0, 25)
  // As a version leaves it that moves it by releases alone.
  await engine.query('update workflow_run_step set released_to = null where run_id = $1', [run])
  await split(1, 25)
  await work(10)
  await settle(engine.em(), [run], { lane, window })
  const children = (await jobsOf(2)).toSorted((a, b) => (a.id < b.id ? -1 : 1))
  expect(children.slice(0, 20).map(({ status }) => status)).toEqual([
    ...Array(10).fill('succeeded'),
    ...Array(10).fill('queued'),
  ])
})

test('children that were hidden while others were released come before those that began to wait after them', async () => {
  const run = await beginRun(2)
  const accept = await run.hide(0, 3)
  await run.split(1, 60)
  await run.work(5)
  await settle(engine.em(), [run.run], { lane, window })
  await accept()
  await run.work(5)
  await settle(engine.em(), [run.run], { lane, window })
  expect((await run.messages()).slice(15)).toEqual([0, 1, 2, 15, 16].map((place) => [place, 2]))
  await run.close()
})

test('a job that somebody has locked is passed over, and holds up no release', async () => {
  const run = await beginRun(1)
  await run.split(0, 12)
  const [, , , , , , , , , , locked] = await run.jobsOf(2)
  const holder = engine.em()
  await holder.begin()
  await queryable(holder).query(`select from workflow_job where id = $1 for no key update`, [locked?.id])
  await run.work(5)
  await settle(engine.em(), [run.run], { lane, window })
  expect(await run.counted()).toMatchObject({ staged: 1, belt: 6 })
  await holder.rollback()
  await run.work(1)
  await settle(engine.em(), [run.run], { lane, window })
  expect(await run.counted()).toMatchObject({ staged: 0, belt: 6 })
  await run.close()
})

test('of a worker that died between its commit and its hint, the sweep does what was left', async () => {
  const run = await beginRun(1)
  await run.split(0, 12)
  await run.work(10)
  expect(await run.counted()).toMatchObject({ staged: 2, belt: 0 })
  expect(await releaseWaitingJobs(engine.em(), { lane, window })).toBe(2)
  expect(await run.counted()).toMatchObject({ staged: 0, belt: 2 })
  expect(await releaseWaitingJobs(engine.em(), { lane, window })).toBe(0)
  await run.close()
})

test('behind a window that is mostly put off until later, jobs are released as far as there is room', async () => {
  const run = await beginRun(1)
  await run.split(0, 30)
  await run.work(4)
  await run.putOff(6)
  await settle(engine.em(), [run.run], { lane, window })
  expect(await run.counted(), 'a hint is for half a window').toMatchObject({ staged: 20, belt: 6 })
  expect(await releaseWaitingJobs(engine.em(), { lane, window })).toBe(4)
  expect(await run.counted()).toMatchObject({ staged: 16, belt: 10 })
  await run.close()
})

test('a window is filled up once, also when its jobs are done as fast as it is filled', async () => {
  const run = await beginRun(1)
  await run.split(0, 60)
  await run.work(5)
  const em = engine.em()
  em.transactional = (work, options) =>
    engine
      .em()
      .transactional(work, options)
      .then((done) => run.work(3).then(() => done))
  expect(await releaseWaitingJobs(em, { lane, window })).toBe(5)
  expect(await run.counted()).toMatchObject({ staged: 45, belt: 7 })
  await run.close()
})

test('while a run is cancelled nothing is released, and what waits is cancelled', async () => {
  const run = await beginRun(1)
  await run.split(0, 25)
  await run.work(10)
  await beginCancel(engine.em(), run.run)
  await settle(engine.em(), [run.run], { lane, window })
  // Nor by a release that had found the run before it was cancelled.
  expect(await releaseGroup(engine.em(), { runId: run.run, stepId: run.stepId }, { lane, window })).toBe(0)
  expect(await run.counted()).toMatchObject({ staged: 15, belt: 0 })
  expect(await cancelRun(engine.em(), run.run)).toBe('cancelled')
  expect(await run.counted()).toEqual({ staged: 0, belt: 0, succeeded: 10, cancelled: 15 })
  expect(await engine.query(`select from workflow_waiting`)).toEqual([])
})

test('workers carry a large fan-out through a small window to its end, and no reader sees it exceeded', async () => {
  const functions = [
    functionOf('wide', ({ payload }) => numbers(Number(payload))),
    functionOf('wide.end', () => undefined),
  ]
  for (let by = 0; by < 4; by += 1) {
    await engine.startWorker(functions, { worker: `worker ${by}`, prefetch: 20, window: 100 })
  }
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'wide', outputType: 'multiple' },
    { functionName: 'wide.end', outputType: null },
  )
  const watch = watchCounters(engine, 100)
  const run = await engine.begin(workflow, [200, 400, 1, 0, 30, 200])
  await waitFor(async () => (await engine.statusOf(run)) === 'succeeded', {
    deadlineMs: 25_000,
    describe: () => engine.query('select * from workflow_run_step where run_id = $1', [run]),
  })
  const { seen, looks } = await watch.stop()
  expect(seen).toEqual([])
  expect(looks).toBeGreaterThan(5)
  const jobs = await engine.jobs(run)
  expect(jobs.filter(({ step, status }) => step === 2 && status === 'succeeded')).toHaveLength(831)
})

test('a release looks at each job that waits once, also with statistics of tables that were empty', async () => {
  const { run, stepId, split } = await beginRun(1)
  await queryable(engine.em()).query('analyze workflow_job, workflow_waiting', [])
  await split(0, 5_000)
  const em = engine.em()
  await em.begin()
  const plan = await planOfTake(em, run, stepId, fromTheStart)
  await em.rollback()
  expect(sum(plan, /"Rows Removed by (?:Join )?Filter":(\d+)/g)).toBeLessThan(10_000)
})

test('a release passes none of the jobs that were released before, also with statistics of when they waited', async () => {
  const { run, stepId, split } = await beginRun(4)
  for (let parent = 0; parent < 4; parent += 1) await split(parent, 10_000)
  const em = engine.em()
  await em.begin()
  const tx = queryable(em)
  await tx.query('analyze workflow_job, workflow_waiting', [])
  await tx.query(
    `delete from workflow_waiting
     where job_id < (select job_id from workflow_waiting order by job_id offset 30000 limit 1)`,
    [],
  )
  const { rows } = await tx.query('select min(job_id::text) as first from workflow_waiting', [])
  const plan = await planOfTake(em, run, stepId, z.object({ first: z.string() }).parse(rows[0]).first)
  await em.rollback()
  expect(sum(plan, /"Actual Rows":(\d+)/g)).toBeLessThan(15_000)
})

/** What Postgres did to take a thousand jobs of a step. */
const planOfTake = async (em: EntityManager, run: string, stepId: string, from: string) => {
  const params = [run, stepId, from, 1_000, ['staged']]
  const { rows } = await queryable(em).query(`explain (analyze, format json) ${takeSql}`, params)
  return JSON.stringify(rows)
}

const sum = (plan: string, figure: RegExp) =>
  [...plan.matchAll(figure)].reduce((total, [, some]) => total + Number(some), 0)
