import { randomUUID } from 'node:crypto'
import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import type { EntityManager } from '@mikro-orm/postgresql'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { aJob } from '../../test/a-job.ts'
import { type Engine } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { openOrm } from '../database/open-orm.ts'
import { beginCancel, carryOnCancels } from '../run/cancel-run.ts'
import { openRun } from '../run/open-run.ts'
import { claimJobs } from './claim-jobs.ts'
import type { JobOnBelt } from './held-job.ts'
import { moveCounters } from './unit/move-counters.ts'
import { writeUnit } from './unit/write-unit.ts'

let engine: Engine
let lane: number

useEngine((opened, unread) => {
  engine = opened
  lane = unread
})

const applicationName = 'meets'

/**
 * A session that takes what it is given row by row in the order in which that comes, unless a statement asks for another:
 * with other joins the order would be one of chance, and so would a deadlock.
 */
const openSession = async (): Promise<EntityManager> => {
  const orm = openOrm({ databaseUrl: engine.databaseUrl, poolSize: 1, applicationName })
  onTestFinished(() => orm.close())
  for (const join of ['hashjoin', 'mergejoin']) {
    await queryable(orm.em.fork()).query(`select set_config('enable_${join}', 'off', false)`, [])
  }
  return orm.em.fork()
}

const areWaiting = async (sessions: number): Promise<boolean> => {
  const rows = await engine.query(
    `select from pg_stat_activity
     where datname = current_database() and application_name = $1 and wait_event_type = 'Lock'`,
    [applicationName],
  )
  return rows.length === sessions
}

/**
 * Two sessions work on the same rows at once, the second one from their end, while a third has one in the middle until
 * both wait: whoever takes the rows as they come has then what the other waits for.
 */
const meet = async (holdSql: string, held: unknown[], works: readonly ((em: EntityManager) => Promise<unknown>)[]) => {
  const sessions = await Promise.all(works.map(openSession))
  const holder = engine.em()
  await holder.begin()
  await queryable(holder).query(`${holdSql} for no key update`, held)
  const working = Promise.all(works.map((work, index) => work(sessions[index]?.fork() ?? engine.em())))
  // Until it is awaited a deadlock would be nobody's.
  working.catch(() => undefined)
  await waitFor(() => areWaiting(works.length))
  await holder.rollback()
  return working
}

/** Jobs that nobody takes, in the order of their ids. */
const waitingJobs = async (): Promise<{ runId: string; jobs: JobOnBelt[] }> => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'met', outputType: null },
  )
  const start = { workflow, stepId: workflow.stepIds[0], trigger: 'manual', worker: 'test', lane } as const
  const { runId } = await openRun(engine.em(), { ...start, idempotencyKey: randomUUID(), payload: [1, 2, 3, 4, 5] })
  onTestFinished(async () => {
    await beginCancel(engine.em(), runId)
    await carryOnCancels(engine.em())
  })
  const found = (await engine.jobs(runId)).filter(({ step }) => step === 1)
  const stepId = workflow.stepIds[1] ?? ''
  const { functionName, seq, claim, attempt, emitted, traceparent } = aJob
  const rest = { functionName, seq, claim, attempt, emitted, traceparent }
  const jobs = found.map(({ id }) => Object.assign({ id, runId, stepId }, rest))
  return { runId, jobs: jobs.toSorted((a, b) => (a.id < b.id ? -1 : 1)) }
}

const inTheMiddle = 'select from workflow_job where id = $1'

const claim = (jobs: readonly JobOnBelt[]) => (em: EntityManager) =>
  claimJobs(
    em,
    jobs.map((job) => ({ job, next: randomUUID() })),
    'test',
  ).then((taken) => taken.size)

const end = (jobs: readonly JobOnBelt[]) => (em: EntityManager) =>
  em.transactional(async (tx) => {
    const ends = jobs.map((job) => {
      const placed = { kind: 'output' as const, output: null }
      return { job, ending: { kind: 'succeeded' as const, placed }, elapsedMs: 1 }
    })
    return (await writeUnit(tx, { ends }, { worker: 'test', lane })).won.size
  })

test.each([
  ['are ended twice', end, end],
  ['are claimed twice', claim, claim],
  ['are ended and claimed', end, claim],
])('jobs that %s by two groups in other orders are taken by one of them', async (_, first, second) => {
  const { jobs } = await waitingJobs()
  const won = await meet(inTheMiddle, [jobs[2]?.id], [first(jobs), second(jobs.toReversed())])
  expect(new Set(won)).toEqual(new Set([0, 5]))
})

test('counters that two units move in other orders are moved by both', async () => {
  const runs = [await waitingJobs(), await waitingJobs(), await waitingJobs()].map(({ runId }) => runId).toSorted()
  const steps = z.array(z.object({ runId: z.string(), stepId: z.string() })).parse(
    await engine.query(
      `select run_id as "runId", step_id as "stepId" from workflow_run_step
         where run_id = any ($1::uuid[]) and belt > 0 order by run_id`,
      [runs],
    ),
  )
  const nothing = { staged: 0, belt: 0, succeeded: 0, failed: 0, cancelled: 0, waitsFrom: null }
  const moves = steps.map((key) => ({ ...key, ...nothing }))
  const move = (some: typeof moves) => (em: EntityManager) =>
    em.transactional(async (tx) => (await moveCounters(queryable(tx), some)).length)
  const held = [steps[1]?.runId, steps[1]?.stepId]
  const holdSql = 'select from workflow_run_step where run_id = $1 and step_id = $2'
  expect(await meet(holdSql, held, [move(moves), move(moves.toReversed())])).toEqual([3, 3])
})
