import { randomUUID } from 'node:crypto'
import { queryable, registerLane } from '@esteira/outbox'
import { explainStatements } from '@esteira/test/support'
import type { EntityManager } from '@mikro-orm/postgresql'
import { expect, onTestFinished, test } from 'vitest'
import type { Engine } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { beatJobs } from '../job/beat-jobs.ts'
import { claimJobs } from '../job/claim-jobs.ts'
import { findJobs } from '../job/find-jobs.ts'
import type { Ending, HeldJob } from '../job/held-job.ts'
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
import { openOrm } from './open-orm.ts'

let engine: Engine
let lane: number

useEngine((opened, unread) => {
  engine = opened
  lane = unread
})

const jobs = 1_000

/**
 * How often a statement may have rows in its hands: some twenty nodes of a plan may have each of two lists of so many
 * jobs. Lists that are compared each with each would be there twenty-five times as often.
 */
const mostRows = 40 * jobs

type Work = (em: () => EntityManager) => Promise<unknown>

/**
 * The statements of a session of its own, and how many rows the plan of each had in its hands; the heaviest first. They
 * are planned with statistics of the rows that are there, and not with those of an autovacuum that came while there
 * were none.
 */
const explainedOf = async (work: Work) => {
  await engine.query('analyze')
  const orm = openOrm({ databaseUrl: engine.databaseUrl, poolSize: 1, applicationName: 'explained' })
  onTestFinished(() => orm.close())
  const explained = await explainStatements((sql) => queryable(orm.em.fork()).query(sql, []))
  await work(() => orm.em.fork())
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
      claimed.map(({ id, seq, claim }) => ({ id, seq, claim, next: claim })),
      'test',
    ),
  )
  const ends = claimed.map((job, index) => ({ job, ending: endingOf(index, next), elapsedMs: 1 }))
  await expectLight((em) => em().transactional((tx) => writeUnit(tx, { ends }, { worker: 'test', lane })))
  await expectLight((em) => retryRun(em(), runId, { lane }))
  await close(runId)
})

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
