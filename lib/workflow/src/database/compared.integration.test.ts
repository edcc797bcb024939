import { randomUUID } from 'node:crypto'
import { queryable, registerLane } from '@esteira/outbox'
import { explainStatements } from '@esteira/test/support'
import type { EntityManager } from '@mikro-orm/postgresql'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import type { Engine } from '../../test/engine.ts'
import { knownStatistics, setStatistics, type Statistics } from '../../test/statistics.ts'
import { useEngine } from '../../test/use-engine.ts'
import { beatJobs } from '../job/beat-jobs.ts'
import { claimJobs } from '../job/claim-jobs.ts'
import { findJobs } from '../job/find-jobs.ts'
import type { Ending, FinishedJob, HeldJob } from '../job/held-job.ts'
import type { NextStep } from '../payload/place-result.ts'
import { acceptPage } from '../job/pages/accept-page.ts'
import { dropHiddenPages } from '../job/pages/drop-hidden-pages.ts'
import { hidePage, sealPages } from '../job/pages/hide-page.ts'
import { writeUnit } from '../job/unit/write-unit.ts'
import { probeQueues } from '../probe/probe-queues.ts'
import { beginCancel, cancelRun, carryOnCancels } from '../run/cancel-run.ts'
import { loadSteps } from '../run/load-steps.ts'
import { openRun } from '../run/open-run.ts'
import { retryRun } from '../run/retry-run.ts'
import { releaseWaitingJobs } from '../run/settle/release.ts'
import { settle, settleWaitingRuns } from '../run/settle/settle.ts'
import { openOrm } from './open-orm.ts'

let engine: Engine
let lane: number
/** What Postgres knows when it plans the statements that are looked at. */
let statistics: Statistics

const jobs = 1_000

/**
 * How often a statement may have rows in its hands: some twenty nodes of a plan may have each of two lists of so many
 * jobs. Lists that are compared each with each would be there twenty-five times as often.
 */
const mostRows = 40 * jobs

type Work = (em: () => EntityManager) => Promise<unknown>

/**
 * The statements of a session of its own, and how many rows the plan of each had in its hands; the heaviest first. What
 * comes behind them is planned by how the tables are.
 */
const explainedOf = async (work: Work) => {
  const orm = openOrm({ databaseUrl: engine.databaseUrl, poolSize: 1, applicationName: 'explained' })
  onTestFinished(() => orm.close())
  const explained = await explainStatements((sql) => queryable(orm.em.fork()).query(sql, []))
  await setStatistics(engine, statistics)
  await work(() => orm.em.fork())
  await setStatistics(engine, null)
  return explained().toSorted((a, b) => b.rows - a.rows)
}

const expectLight = async (work: Work): Promise<void> => {
  const [heaviest] = await explainedOf(work)
  if (heaviest === undefined) throw new Error('nothing was explained')
  expect(heaviest.rows, heaviest.statement).toBeLessThan(mostRows)
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

/** A run with so many jobs at its second step, which leads to a third; `window` of them are on the belt. */
const beginRun = async (window: number, { functionName = 'work', at = lane } = {}) => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName, outputType: 'multiple' },
    { functionName: `${functionName}.next`, outputType: null },
  )
  const [stepId, workId] = workflow.stepIds
  const start = { workflow, stepId, trigger: 'manual', idempotencyKey: randomUUID(), worker: 'test' } as const
  const { runId } = await openRun(engine.em(), { ...start, payload: numbers(jobs), lane: at, window })
  const step = (await loadSteps(engine.em(), workflow.id, 1)).find(({ id }) => id === workId)
  if (step === undefined || step.next === null) throw new Error('there is a second step, and one behind it')
  const { next } = step
  const held = async (most: number): Promise<HeldJob[]> => {
    const ids = (await engine.jobs(runId)).filter((job) => job.step === 1).map(({ id }) => id)
    const found = await findJobs(engine.em(), ids.slice(0, most))
    return [...found.values()].map((job) => Object.assign(job, { functionName, step }))
  }
  return { runId, next, held }
}

const close = async (runId: string): Promise<void> => {
  await beginCancel(engine.em(), runId)
  await carryOnCancels(engine.em())
}

const endings: readonly ((next: NextStep) => Ending)[] = [
  (next) => ({ kind: 'succeeded', placed: { kind: 'items', items: [1, 2], next } }),
  () => ({ kind: 'failed', error: { code: 'attempt_failed', message: 'no' } }),
  () => ({ kind: 'requeued', attempt: 0, delayMs: 60_000, error: null }),
]

const endingOf = (index: number, next: NextStep): Ending => {
  const ending = endings[index % endings.length]
  if (ending === undefined) throw new Error('there are endings')
  return ending(next)
}

/** So many runs of one job each, at the first of two steps; the jobs of a step are given as a worker holds them. */
const beginRuns = async () => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'first', outputType: 'multiple' },
    { functionName: 'second', outputType: 'single' },
  )
  await engine.query(
    `with begun as (
       insert into workflow_run (id, workflow_id, version, trigger, idempotency_key, status)
       select uuidv7(), $1, 1, 'manual', number::text, 'running' from generate_series(1, $2) as number
       returning id
     ), counted as (
       insert into workflow_run_step (run_id, step_id, belt)
       select begun.id, step.id, 1 - step.position from begun, workflow_step step where step.workflow_id = $1
     )
     insert into workflow_job (id, run_id, step_id, status, traceparent)
     select uuidv7(), begun.id, $3, 'queued', '' from begun`,
    [workflow.id, jobs, workflow.stepIds[0]],
  )
  const steps = await loadSteps(engine.em(), workflow.id, 1)
  const held = async (position: number): Promise<HeldJob[]> => {
    const step = steps[position]
    if (step === undefined) throw new Error('there are two steps')
    const rows = await engine.query(`select id from workflow_job where step_id = $1`, [step.id])
    const found = await findJobs(engine.em(), idsOf(rows))
    return [...found.values()].map((job) => Object.assign(job, { functionName: step.functionName, step }))
  }
  const runs = await engine.query('select id from workflow_run where workflow_id = $1', [workflow.id])
  const next: NextStep = { id: workflow.stepIds[1] ?? '', functionName: 'second' }
  return { runIds: idsOf(runs), next, held }
}

const idRows = z.array(z.object({ id: z.string() }))
const idsOf = (rows: unknown[]) => idRows.parse(rows).map(({ id }) => id)

describe.each(knownStatistics)('when Postgres knows $known', ({ of }) => {
  useEngine((opened, unread) => {
    engine = opened
    lane = unread
    statistics = of
  })

  beforeEach(() => engine.query('truncate outbox_message, outbox_scheduled'))

  test('jobs that wait are released, and cancelled, without a look at each for each', async () => {
    const { runId } = await beginRun(1)
    await engine.query(`update workflow_run_step set belt = 0, succeeded = 1 where run_id = $1 and belt = 1`, [runId])
    await engine.query(
      `update workflow_job set status = 'succeeded', finished_at = now() where run_id = $1 and status = 'queued'`,
      [runId],
    )
    await expectLight((em) => releaseWaitingJobs(em(), { lane, window: 500 }))
    await expectLight((em) => cancelRun(em(), runId))
    await close(runId)
    expect(await engine.query('select from workflow_waiting')).toEqual([])
  })

  test('groups of jobs are claimed, beat for and ended so', async () => {
    const { runId, next, held } = await beginRun(jobs)
    const all = await held(jobs)
    const claims = all.map((job) => ({ job, next: randomUUID() }))
    await expectLight((em) => claimJobs(em(), claims, 'test'))
    const claimed = claims.map(({ job, next: claim }) => Object.assign(job, { claim }))
    await expectLight((em) =>
      beatJobs(
        em(),
        claimed.map((job) => ({ ...job, next: job.claim })),
        'test',
      ),
    )
    const ends = claimed.map((job, index) => ({ job, ending: endingOf(index, next), elapsedMs: 1 }))
    await expectLight((em) => em().transactional((tx) => writeUnit(tx, { ends }, { worker: 'test', lane })))
    await expectLight((em) => retryRun(em(), runId, { lane }))
    await close(runId)
  })

  test('jobs of as many runs are found, beat for and ended, with their children and their runs, so', async () => {
    const { runIds, next, held } = await beginRuns()
    const end = (ends: readonly FinishedJob[]) =>
      expectLight((em) => em().transactional((tx) => writeUnit(tx, { ends }, { worker: 'test', lane })))
    const item: Ending = { kind: 'succeeded', placed: { kind: 'items', items: [1], next } }
    const first = await held(0)
    await expectLight((em) => findJobs(em(), idsOf(first)))
    await expectLight((em) =>
      beatJobs(
        em(),
        first.map((job) => ({ ...job, next: null })),
        'test',
      ),
    )
    await end(first.map((job) => ({ job, ending: item, elapsedMs: 1 })))
    const put = { kind: 'requeued', attempt: 0, delayMs: 0, error: null } as const
    for (const ending of [put, put, { kind: 'succeeded', placed: { kind: 'output', output: 1 } } as const]) {
      await end((await held(1)).map((job) => ({ job, ending, elapsedMs: 1 })))
    }
    await expectLight((em) => settleWaitingRuns(em(), 10))
    await expectLight((em) => settle(em(), runIds, { lane }))
    const ended = await engine.query(`select from workflow_run where id = any ($1) and status = 'succeeded'`, [runIds])
    expect(ended).toHaveLength(jobs)
  })

  test('jobs are noted for a probe, and sent again, so', async () => {
    const elsewhere = await registerLane(queryable(engine.em()), 'nobody reads it either')
    // Of the first all messages are in the outbox, and of the second none.
    const { runId } = await beginRun(jobs, { functionName: 'probed' })
    const lost = await beginRun(jobs, { functionName: 'probed', at: elsewhere })
    await engine.query(`delete from outbox_message where lane = $1`, [elsewhere])
    const times = { waitsMs: 0, holdMs: 0, takesMs: 0, againMs: 60_000 }
    const told: unknown[] = []
    for (const _ of ['begin', 'second round', 'send again']) {
      await expectLight((em) => probeQueues(em(), { lane, times, observe: (event) => told.push(event) }))
      await engine.query(`update workflow_probe set seen_at = now()`)
    }
    expect(told).toContainEqual({ kind: 'jobs.lost', functionName: 'probed', jobs })
    await engine.query(`delete from workflow_probed_job`)
    await engine.query(`delete from workflow_probe`)
    for (const id of [runId, lost.runId]) await close(id)
  })

  test('hidden pages are accepted, and dropped, so', async () => {
    const { runId, next, held } = await beginRun(2)
    const [kept, dropped] = await held(2)
    if (kept === undefined || dropped === undefined) throw new Error('there are two jobs')
    const hide = async (found: HeldJob): Promise<HeldJob> => {
      const claim = randomUUID()
      await claimJobs(engine.em(), [{ job: found, next: claim }], 'test')
      const job = { ...found, claim }
      for (let first = 0; first < jobs; first += 100) {
        const items = numbers(100)
        await engine.em().transactional((em) => hidePage(em, { job, items, next }, first))
      }
      return { ...job, accepted: claim }
    }
    const job = await hide(kept)
    await hide(dropped)
    await claimJobs(engine.em(), [{ job: (await held(2))[1] ?? dropped, next: randomUUID() }], 'heir')
    await sealPages(engine.em(), job)
    await expectLight(async (em) => {
      for (let emitted = 0; emitted < jobs; emitted += 100) {
        await em().transactional((tx) => acceptPage(tx, { ...job, emitted }, {}))
      }
    })
    await expectLight((em) => dropHiddenPages(em()))
    expect(await engine.query('select from workflow_hidden_page')).toEqual([])
    const running = await engine.query(
      `update workflow_job set status = 'succeeded', claim = null, finished_at = now()
       where run_id = $1 and status = 'running' returning id`,
      [runId],
    )
    await engine.query(
      `update workflow_run_step set belt = belt - 2, succeeded = succeeded + 2
       where run_id = $1 and step_id = (select step_id from workflow_job where id = $2)`,
      [runId, job.id],
    )
    expect(running).toHaveLength(2)
    await close(runId)
  })

  test('pages of attempts that died are found without a look at those that live for each', async () => {
    const { runId, held } = await beginRun(2)
    const [alive, dead] = await held(2)
    const notePages = (job: string, pages: number) =>
      engine.query(
        `with claimed as (update workflow_job set claim = gen_random_uuid() where id = $1 returning id, claim)
         insert into workflow_hidden_page select id, claim, page, '{}' from claimed, generate_series(1, $2) as page`,
        [job, pages],
      )
    await notePages(alive?.id ?? '', 1_000)
    await notePages(dead?.id ?? '', 100)
    await engine.query('update workflow_job set claim = null where id = $1', [dead?.id])
    const explained = await explainedOf(async (em) => expect(await dropHiddenPages(em())).toBe(100))
    // Some nodes of a plan may have all pages once; those that live would be there a hundred times.
    expect(explained.reduce((sum, { rows }) => sum + rows, 0)).toBeLessThan(10_000)
    expect(await engine.query('select from workflow_hidden_page')).toHaveLength(1_000)
    await engine.query('delete from workflow_hidden_page')
    await close(runId)
  })
})
