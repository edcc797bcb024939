import { expect, test } from 'vitest'
import type { Engine } from '../../../test/engine.ts'
import { holdLocked, lockSqls } from '../../../test/hold-locked.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { isLockedOut } from '../../database/is-transient.ts'
import { lockedAmong } from './locked-among.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const begin = async () => {
  const workflow = await engine.saveWorkflow({ functionName: 'nobody has it', outputType: null })
  const runId = await engine.begin(workflow, null)
  const [job] = await engine.jobs(runId)
  if (job === undefined) throw new Error('a run began without its job')
  return { id: job.id, runId }
}

test('what somebody holds of jobs and of runs is told, by a look that waits for nothing and leaves nothing locked', async () => {
  const jobs = [await begin(), await begin(), await begin(), await begin()]
  const [, ofCounters, ofRow, locked] = jobs.map(({ runId }) => runId)
  const look = () => lockedAmong(engine.em(), jobs)
  expect(await look()).toEqual(new Set())
  const holders = [
    await holdLocked(engine, lockSqls.counters, ofCounters ?? ''),
    await holdLocked(engine, lockSqls.row, ofRow ?? ''),
    await holdLocked(engine, 'select from workflow_job where run_id = $1 for no key update', locked ?? ''),
  ]
  expect(await look()).toEqual(new Set([ofCounters, ofRow, jobs[3]?.id]))
  for (const { release } of holders) await release()
  expect(await look()).toEqual(new Set())
  for (const { runId } of jobs) await engine.query(`delete from workflow_job where run_id = $1`, [runId])
  expect(await look()).toEqual(new Set())
  for (const { runId } of jobs) {
    await engine.query(`delete from workflow_run_step where run_id = $1`, [runId])
    await engine.query(`delete from workflow_run where id = $1`, [runId])
  }
  expect(await look()).toEqual(new Set())
})

test('a look gives up a table that somebody has locked, like any other wait for a lock', async () => {
  const job = await begin()
  const { release } = await holdLocked(engine, 'lock table workflow_run_step in access exclusive mode')
  await expect(lockedAmong(engine.em(), [job])).rejects.toSatisfy(isLockedOut)
  await release()
})

test('a look at a run that is only referred to, as by its new jobs, finds it free', async () => {
  const job = await begin()
  await holdLocked(engine, 'select from workflow_run where id = $1 for key share', job.runId)
  expect(await lockedAmong(engine.em(), [job])).toEqual(new Set())
})
