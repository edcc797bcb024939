import { randomUUID } from 'node:crypto'
import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { beginCancel, cancelRun } from './cancel-run.ts'
import { sendAgain } from './send-again.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** A run that failed, since its only job did; its worker still takes jobs, and succeeds with the payload `good`. */
const failedRun = async (name: string) => {
  await engine.startWorker([
    functionOf(name, ({ payload, job }) => {
      if (payload !== 'good') throw Object.assign(new Error('never'), { final: true })
      return `done as revision ${job.revision}`
    }),
  ])
  const run = await engine.begin(await engine.saveWorkflow({ functionName: name, outputType: 'single' }), 'bad')
  expect(await engine.over(run)).toBe('failed')
  const id = (await engine.jobs(run))[0]?.id ?? ''
  return { run, again: (change?: { payload?: unknown }) => sendAgain(engine.em(), id, by(), change) }
}

const by = () => ({ lane: engine.laneId })

test('a failed job that is sent again with another payload is tried anew as the next revision, and its run is open until it ends', async () => {
  const { run, again } = await failedRun('mended')
  expect(await again({ payload: 'good' })).toBe('sent')
  expect(await engine.over(run)).toBe('succeeded')
  expect(await engine.jobs(run)).toMatchObject([
    { status: 'succeeded', attempt: 1, seq: 2, payload: 'good', output: 'done as revision 1', error: null },
  ])
  expect(await engine.query(`select revision from workflow_job where run_id = $1`, [run])).toEqual([{ revision: 1 }])
})

test('without another payload it is tried with the one it has, and may fail again', async () => {
  const { run, again } = await failedRun('stubborn')
  expect(await again()).toBe('sent')
  await waitFor(async () => (await engine.jobs(run))[0]?.seq === 2 && (await engine.statusOf(run)) === 'failed')
  expect(await engine.jobs(run)).toMatchObject([{ status: 'failed', attempt: 1, payload: 'bad' }])
})

test('of several who send a job again one does', async () => {
  const { run, again } = await failedRun('together')
  await engine.stopWorkers()
  const sent = await Promise.all([1, 2, 3, 4].map(() => again({ payload: 'good' })))
  expect(sent.map(String).toSorted()).toEqual(['job not failed', 'job not failed', 'job not failed', 'sent'])
  expect(await engine.statusOf(run)).toBe('running')
  expect(await engine.untrueCounters()).toEqual([])
})

test('a job that did not fail, one of a run that is cancelled, and one that is not there are left alone', async () => {
  const { run, again } = await failedRun('left')
  await again({ payload: 'good' })
  await engine.over(run)
  expect(await again()).toBe('job not failed')
  expect(await sendAgain(engine.em(), randomUUID(), by())).toBe('job unknown')
  for (const status of ['cancelling', 'cancelled']) {
    const other = await failedRun(`left.${status}`)
    await engine.query(
      `update workflow_run set status = $2, finished_at = case when $2 = 'cancelled' then now() end where id = $1`,
      [other.run, status],
    )
    expect(await other.again(), status).toBe('run cancelled')
  }
})

test('a tick is not sent again: it has no queue', async () => {
  const workflow = await engine.saveWorkflow({ functionName: 'CronJob', outputType: 'multiple' })
  const run = await engine.begin(workflow, 'no array')
  const [job] = await engine.jobs(run)
  expect(job?.status).toBe('failed')
  expect(await sendAgain(engine.em(), job?.id ?? '', by())).toBe('job of a tick')
})

test('a cancel that comes while a job is sent again is not undone by it', async () => {
  const { run, again } = await failedRun('both')
  await engine.stopWorkers()
  await engine.query(`update workflow_run set status = 'running', finished_at = null where id = $1`, [run])
  const holder = engine.em()
  await holder.begin()
  await queryable(holder).query(`select from workflow_job where run_id = $1 for no key update`, [run])
  const sending = again()
  await waitFor(() => isWaiting('update workflow_job set'))
  const cancelling = beginCancel(engine.em(), run)
  await Promise.race([cancelling, waitFor(() => isWaiting('update workflow_run set status'))])
  await holder.rollback()
  expect([await sending, await cancelling]).toEqual(['sent', 'cancelling'])
  expect(await engine.statusOf(run)).toBe('cancelling')
  expect(await cancelRun(engine.em(), run)).toBe('cancelled')
  expect(await engine.jobs(run)).toMatchObject([{ status: 'cancelled' }])
})

test('one that gave items while its run was waited for takes no other payload', async () => {
  const { run, again } = await failedRun('given')
  const holder = engine.em()
  await holder.begin()
  await queryable(holder).query(`select from workflow_run where id = $1 for update`, [run])
  const sending = again({ payload: 'good' })
  await waitFor(() => isWaiting('for no key update of run'))
  await engine.query(`update workflow_job set emitted = 3 where run_id = $1`, [run])
  await holder.rollback()
  expect(await sending).toBe('job has given items')
  await engine.query(`update workflow_job set emitted = 0 where run_id = $1`, [run])
  expect(await engine.jobs(run)).toMatchObject([{ status: 'failed', payload: 'bad' }])
})

/** Whether a session waits for a row of another's with a statement that has this text. */
const isWaiting = async (text: string): Promise<boolean> =>
  (
    await engine.query(
      `select from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock' and position($1 in query) > 0`,
      [text],
    )
  ).length > 0
