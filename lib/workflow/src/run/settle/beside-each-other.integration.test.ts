import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import type { EntityManager } from '@mikro-orm/postgresql'
import { expect, onTestFinished, test } from 'vitest'
import { type Engine, type SavedWorkflow } from '../../../test/engine.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { openOrm } from '../../database/open-orm.ts'
import { cancelJob } from '../cancel-job.ts'
import { findJobs } from '../../job/find-jobs.ts'
import type { Ending } from '../../job/held-job.ts'
import { sendAgain } from '../send-again.ts'
import { lockFirst } from '../../job/unit/lock-first.ts'
import { writeUnit } from '../../job/unit/write-unit.ts'
import { beginCancel, carryOnCancels } from '../cancel-run.ts'
import { retryRun } from '../retry-run.ts'
import { releaseGroup, releaseWaitingJobs } from './release.ts'
import { settle } from './settle.ts'

let engine: Engine
let lane: number

useEngine((opened, unread) => {
  engine = opened
  lane = unread
})

/** Few enough that most jobs wait, and that units exceed it together. */
const window = 5

const parents = 24
const childrenOfEach = 5

/** Jobs of all runs that stand so, in an order of their own: each group that is made of them crosses others. */
const jobsThat = async (runs: readonly string[], step: number, status: string, turn: number): Promise<string[]> => {
  const jobs = (await Promise.all(runs.map((run) => engine.jobs(run)))).flat()
  const ids = jobs.filter((job) => job.step === step && job.status === status).map(({ id }) => id)
  const from = ids.length === 0 ? 0 : (turn * 7) % ids.length
  const turned = [...ids.slice(from), ...ids.slice(0, from)]
  return turn % 2 === 0 ? turned : turned.toReversed()
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

/** Ends jobs of step 1 with children, and others by turns, as a group of them does. */
const endJobs = async (em: EntityManager, workflow: SavedWorkflow, ids: readonly string[], turn: number) => {
  const found = [...(await findJobs(em, ids)).values()].filter(({ status }) => status === 'queued')
  const next = { id: workflow.stepIds[2] ?? '', functionName: 'beside.work' }
  const endingOf = (isParent: boolean, nth: number): Ending => {
    if (isParent) return { kind: 'succeeded', placed: { kind: 'items', items: numbers(childrenOfEach), next } }
    if (nth % 3 === 0) return { kind: 'failed', error: { code: 'function_failed', message: 'by turns' } }
    return { kind: 'succeeded', placed: { kind: 'output', output: null } }
  }
  const ends = found.map((job, place) => {
    const isParent = job.stepId === workflow.stepIds[1]
    const functionName = isParent ? 'beside.split' : 'beside.work'
    return { job: { ...job, functionName }, ending: endingOf(isParent, turn + place), elapsedMs: 1 }
  })
  await em.transactional(async (tx) => {
    // As a group does that Postgres has given up before.
    if (turn % 5 === 0) await lockFirst(tx, found)
    await writeUnit(tx, { ends }, { worker: 'test', lane, window })
  })
}

const saveWorkflow = () =>
  engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'beside.split', outputType: 'multiple' },
    { functionName: 'beside.work', outputType: null },
  )

/** Begins runs that are cancelled behind the test. */
const begin = async (workflow: SavedWorkflow, items: number): Promise<string> => {
  const run = await engine.begin(workflow, numbers(items))
  onTestFinished(async () => {
    await beginCancel(engine.em(), run)
    await carryOnCancels(engine.em())
  })
  return run
}

test('a release that has the counters passes over a job whose cancel waits for them, and waits for nothing', async () => {
  const workflow = await saveWorkflow()
  const run = await begin(workflow, 3)
  await endJobs(engine.em(), workflow, await jobsThat([run], 1, 'queued', 0), 1)
  const staged = await jobsThat([run], 2, 'staged', 0)
  expect(staged).toHaveLength(3 * childrenOfEach - window)
  await endJobs(engine.em(), workflow, (await jobsThat([run], 2, 'queued', 0)).slice(0, 2), 1)
  const key = { runId: run, stepId: workflow.stepIds[2] ?? '' }
  const releasing = engine.em()
  await releasing.begin()
  await queryable(releasing).query(
    'select from workflow_run_step where run_id = $1 and step_id = $2 for no key update',
    [key.runId, key.stepId],
  )
  const cancelling = cancelJob(engine.em(), staged[0] ?? '')
  await waitFor(isSomebodyWaiting)
  expect(await releaseGroup(releasing, key, { lane, window })).toBe(2)
  await releasing.commit()
  expect(await cancelling).toBe('cancelled')
  expect(await jobsThat([run], 2, 'cancelled', 0)).toEqual([staged[0]])
  expect(await engine.untrueCounters()).toEqual([])
  expect(await engine.unconserved()).toEqual([])
})

/** Whether a session of the database waits for a lock of another. */
const isSomebodyWaiting = async (): Promise<boolean> =>
  (await engine.query(`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`))
    .length > 0

test('units, releases, cancels and jobs that are sent again go on beside each other, and no two wait for each other', async () => {
  const workflow = await saveWorkflow()
  const runs = [await begin(workflow, parents), await begin(workflow, parents)]
  const by = { lane, window }
  const acts = [
    async (em: EntityManager, turn: number) =>
      endJobs(em, workflow, (await jobsThat(runs, 1, 'queued', turn)).slice(0, 3), turn),
    async (em: EntityManager, turn: number) =>
      endJobs(em, workflow, (await jobsThat(runs, 2, 'queued', turn)).slice(0, 4), turn),
    (em: EntityManager) => releaseWaitingJobs(em, by),
    (em: EntityManager, turn: number) => settle(em, turn % 2 === 0 ? runs : runs.toReversed(), by),
    async (em: EntityManager, turn: number) => {
      const [id] = await jobsThat(runs, 2, 'failed', turn)
      if (id !== undefined) await sendAgain(em, id, by)
    },
    (em: EntityManager, turn: number) => retryRun(em, runs[turn % 2] ?? '', { ...by, groupSize: 2 }),
    async (em: EntityManager, turn: number) => {
      const [id] = await jobsThat(runs, 2, 'staged', turn)
      if (id !== undefined) await cancelJob(em, id)
    },
  ]
  let mostOnBelt = 0
  // What is given up for a deadlock is thrown here.
  const session = async (first: number): Promise<void> => {
    const orm = openOrm({ databaseUrl: engine.databaseUrl, poolSize: 1, applicationName: 'beside' })
    try {
      for (let turn = first; turn < first + 25; turn += 1) {
        await acts[(first + turn) % acts.length]?.(orm.em.fork(), turn)
        const belts = (await Promise.all(runs.map((run) => engine.jobs(run)))).map(
          (jobs) => jobs.filter(({ step, status }) => step === 2 && status === 'queued').length,
        )
        mostOnBelt = Math.max(mostOnBelt, ...belts)
      }
    } finally {
      await orm.close()
    }
  }
  await Promise.all(numbers(2 * acts.length).map((nth) => session(nth)))
  expect(mostOnBelt).toBe(window)
  expect(await engine.untrueCounters()).toEqual([])
  expect(await engine.unconserved()).toEqual([])
})
