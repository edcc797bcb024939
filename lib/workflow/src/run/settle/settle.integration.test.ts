import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import type { Engine } from '../../../test/engine.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { endIfOver, settleWaitingRuns } from './settle.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** A run of one job whose worker died after its commit and before it looked whether the run is over. */
const runWithoutHint = async (status: 'succeeded' | 'failed' | 'running'): Promise<string> => {
  const run = await engine.begin(await engine.saveWorkflow({ functionName: 'nobody', outputType: null }), null)
  await engine.query(
    `update workflow_job set status = $2, finished_at = case when $2 = 'running' then null else now() end
     where run_id = $1`,
    [run, status],
  )
  if (status !== 'running') {
    await engine.query(`update workflow_run_step set belt = 0, ${status} = 1 where run_id = $1`, [run])
  }
  expect(await engine.untrueCounters()).toEqual([])
  return run
}

test('runs of which nothing is open any more are ended by the sweep, by what became of their jobs', async () => {
  const succeeded = await runWithoutHint('succeeded')
  const failed = await runWithoutHint('failed')
  const open = await runWithoutHint('running')
  expect(await settleWaitingRuns(engine.em(), 10)).toBe(2)
  expect(await engine.statusOf(succeeded)).toBe('succeeded')
  expect(await engine.statusOf(failed)).toBe('failed')
  expect(await engine.statusOf(open)).toBe('running')
  expect(await settleWaitingRuns(engine.em(), 10)).toBe(0)
})

test('the sweep ends the oldest first and no more than it was told', async () => {
  const runs = [await runWithoutHint('succeeded'), await runWithoutHint('succeeded'), await runWithoutHint('succeeded')]
  expect(await settleWaitingRuns(engine.em(), 2)).toBe(2)
  expect(await Promise.all(runs.map(engine.statusOf))).toEqual(['succeeded', 'succeeded', 'running'])
  expect(await settleWaitingRuns(engine.em(), 2)).toBe(1)
})

test('a run that several settle at once is ended once', async () => {
  const run = await runWithoutHint('succeeded')
  const settled = await Promise.all([1, 2, 3].map(() => endIfOver(engine.em(), [run])))
  expect(settled.flat()).toEqual([run])
  expect(await engine.statusOf(run)).toBe('succeeded')
})

test('of many runs those of which nothing is open are ended together, by what became of their jobs', async () => {
  const runs = [await runWithoutHint('succeeded'), await runWithoutHint('running'), await runWithoutHint('failed')]
  const ended = await endIfOver(engine.em(), [...runs, ...runs])
  expect(ended.toSorted(byText)).toEqual([runs[0], runs[2]].toSorted(byText))
  expect(await Promise.all(runs.map(engine.statusOf))).toEqual(['succeeded', 'running', 'failed'])
})

const byText = (a = '', b = '') => a.localeCompare(b)

test('a job that is sent again while a run is about to be ended keeps it open', async () => {
  const run = await runWithoutHint('failed')
  const sender = engine.em()
  await sender.begin()
  const tx = queryable(sender)
  await tx.query(`select from workflow_run where id = $1 for no key update`, [run])
  const settling = endIfOver(engine.em(), [run])
  await waitFor(isSomebodyWaiting)
  await tx.query(`update workflow_job set status = 'queued', finished_at = null where run_id = $1`, [run])
  await tx.query(`update workflow_run_step set belt = 1, failed = 0 where run_id = $1`, [run])
  await sender.commit()
  expect(await settling).toEqual([])
  expect(await engine.statusOf(run)).toBe('running')
})

test('a run that somebody holds locked keeps the sweep from ending no other, and is ended by the next', async () => {
  const [held, other] = [await runWithoutHint('succeeded'), await runWithoutHint('succeeded')]
  const holder = engine.em()
  await holder.begin()
  await queryable(holder).query(`select from workflow_run where id = $1 for no key update`, [held])
  expect(await settleWaitingRuns(engine.em(), 10)).toBe(1)
  expect(await Promise.all([held, other].map(engine.statusOf))).toEqual(['running', 'succeeded'])
  await holder.rollback()
  expect(await settleWaitingRuns(engine.em(), 10)).toBe(1)
})

/** Whether a session of the database waits for a lock of another. */
const isSomebodyWaiting = async (): Promise<boolean> =>
  (
    await engine.query(
      `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    )
  ).length > 0
