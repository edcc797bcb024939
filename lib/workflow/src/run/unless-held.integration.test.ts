import { randomUUID } from 'node:crypto'
import { queryable } from '@esteira/outbox'
import { onTestFinished, expect, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf, type SavedWorkflow } from '../../test/engine.ts'
import { jobSql, lockSqls, updateSql } from '../../test/hold-locked.ts'
import { useEngine } from '../../test/use-engine.ts'
import { cancelJob } from './cancel-job.ts'
import { sendAgain } from './send-again.ts'
import { cancelRun } from './cancel-run.ts'
import { openRun, type RunStart } from './open-run.ts'
import { retryRun } from './retry-run.ts'
import { settleWaitingRuns } from './settle/settle.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const by = () => ({ lane: engine.laneId })

/** A run of one job, which nobody takes. */
const waitingRun = async (name: string) => {
  const run = await engine.begin(await engine.saveWorkflow({ functionName: name, outputType: 'single' }), 1)
  return { run, job: (await engine.jobs(run))[0]?.id ?? '' }
}

/** One that has failed, since its job did. */
const failedRun = async (name: string) => {
  const { run, job } = await waitingRun(name)
  const fn = functionOf(name, () => Promise.reject(Object.assign(new Error('never'), { final: true })))
  const worker = await engine.startWorker([fn])
  expect(await engine.over(run)).toBe('failed')
  await worker.stop()
  return { run, job }
}

/** Somebody's open transaction that has something locked, and the session that it is in. */
const hold = async (sql: string, id: string) => {
  const holder = engine.em()
  await holder.begin()
  const release = async () => {
    if (holder.isInTransaction()) await holder.rollback()
  }
  onTestFinished(release)
  await queryable(holder).query(sql, [id])
  const { rows } = await queryable(holder).query('select pg_backend_pid() as pid', [])
  const [{ pid }] = z.tuple([z.object({ pid: z.int() })]).parse(rows)
  return { pid, release }
}

/** Begins a run of a workflow, each time under the same key. */
const beginning = (workflow: SavedWorkflow, more: Partial<RunStart>) => {
  const [stepId] = workflow.stepIds
  const start = { workflow, stepId, trigger: 'cron', idempotencyKey: randomUUID(), payload: 1, worker: 'test' } as const
  return () => openRun(engine.em(), { ...start, ...by(), ...more })
}

/** What of the run and its jobs may have been written. */
const standing = async (run: string) => [await engine.statusOf(run), await engine.jobs(run)]

test('a run that somebody holds locked is not cancelled, and who asks is told which session has it', async () => {
  const { run } = await waitingRun('not cancelled')
  const before = await standing(run)
  for (const sql of [lockSqls.row, updateSql]) {
    const { pid, release } = await hold(sql, run)
    expect(await cancelRun(engine.em(), run)).toEqual({ heldBy: pid })
    expect(await standing(run)).toEqual(before)
    await release()
  }
  expect(await cancelRun(engine.em(), run)).toBe('cancelled')
})

test('the limit for locks is not left to the transaction that the change is part of', async () => {
  const { run } = await waitingRun('cancelled within')
  await engine.em().transactional(async (em) => {
    const limitOf = async () => (await queryable(em).query(`select current_setting('lock_timeout') as limit`, [])).rows
    await queryable(em).query(`set local lock_timeout = '7s'`, [])
    expect(await cancelRun(em, run)).toBe('cancelled')
    expect(await limitOf()).toEqual([{ limit: '7s' }])
  })
})

for (const [what, sql, of] of [
  ['run', lockSqls.row, 'run'],
  ['counters', lockSqls.counters, 'run'],
  ['job', jobSql, 'job'],
] as const) {
  test(`a failed job is not sent again while somebody holds its ${what} locked, alone or with its run`, async () => {
    const failed = await failedRun(`not sent again, ${what}`)
    const before = await standing(failed.run)
    const { pid, release } = await hold(sql, failed[of])
    expect(await sendAgain(engine.em(), failed.job, by())).toEqual({ heldBy: pid })
    const retried = await retryRun(engine.em(), failed.run, by())
    // Of a run it is not known which job is held.
    expect(retried).toEqual({ heldBy: what === 'job' ? null : pid })
    expect(await standing(failed.run)).toEqual(before)
    await release()
    expect(await sendAgain(engine.em(), failed.job, by())).toBe('sent')
    expect(await cancelRun(engine.em(), failed.run)).toBe('cancelled')
  })
}

test('a job is cancelled though somebody holds the row of its run locked, which ends when that is free', async () => {
  const { run, job } = await waitingRun('cancelled')
  const { release } = await hold(lockSqls.row, run)
  expect(await cancelJob(engine.em(), job)).toBe('cancelled')
  expect(await engine.statusOf(run)).toBe('running')
  await release()
  await settleWaitingRuns(engine.em(), 100)
  expect(await engine.statusOf(run)).toBe('cancelled')
})

const workflowSql = 'select from workflow where id = $1 for update'

for (const overlap of ['allow', 'skip', 'cancel'] as const) {
  test(`no run begins while somebody holds its workflow locked, with the overlap ${overlap}, and its key is good then`, async () => {
    const workflow = await engine.saveWorkflow({ functionName: 'begins late', outputType: 'single' })
    const before = await engine.outboxRows()
    const { pid, release } = await hold(workflowSql, workflow.id)
    const begin = beginning(workflow, { overlap })
    await expect(begin()).rejects.toMatchObject({
      code: 'workflow_busy',
      message: expect.stringContaining(`Session ${pid} of Postgres holds workflow ${workflow.id} locked`),
      final: false,
    })
    expect(await engine.query('select from workflow_run where workflow_id = $1', [workflow.id])).toEqual([])
    expect(await engine.outboxRows()).toBe(before)
    await release()
    const { runId } = await begin()
    expect(await begin()).toMatchObject({ runId, created: false })
    expect(await cancelRun(engine.em(), runId)).toBe('cancelled')
  })
}

test('no run that is to cancel another begins while somebody holds that one locked, and both are as they were', async () => {
  const workflow = await engine.saveWorkflow({ functionName: 'cancels', outputType: 'single' })
  const open = await engine.begin(workflow, 1)
  const { pid, release } = await hold(lockSqls.row, open)
  const begin = beginning(workflow, { overlap: 'cancel' })
  await expect(begin()).rejects.toMatchObject({
    code: 'workflow_busy',
    message: expect.stringContaining(`Session ${pid} of Postgres`),
  })
  expect(await engine.query('select id, status from workflow_run where workflow_id = $1', [workflow.id])).toEqual([
    { id: open, status: 'running' },
  ])
  await release()
  const { runId } = await begin()
  expect(await engine.statusOf(open)).toBe('cancelling')
  for (const run of [open, runId]) expect(await cancelRun(engine.em(), run)).toBe('cancelled')
})
