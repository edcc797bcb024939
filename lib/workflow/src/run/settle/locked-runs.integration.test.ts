import { expect, test } from 'vitest'
import type { Engine } from '../../../test/engine.ts'
import { holdLocked, lockSqls, updateSql } from '../../../test/hold-locked.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { isLockedOut } from '../../database/is-transient.ts'
import { lockedRuns } from './locked-runs.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const begin = async (): Promise<string> =>
  engine.begin(await engine.saveWorkflow({ functionName: 'nobody has it', outputType: null }), null)

const look = (...runs: string[]) => lockedRuns(engine.em(), runs)

const remove = async (...runs: string[]): Promise<void> => {
  await engine.query('delete from workflow_job where run_id = any ($1)', [runs])
  await engine.query('delete from workflow_run_step where run_id = any ($1)', [runs])
  await engine.query('delete from workflow_run where id = any ($1)', [runs])
}

test('which runs a settle would have to wait for is told, by a look that waits for nothing and leaves nothing locked', async () => {
  const [free, ofCounters, ofRow, updated] = [await begin(), await begin(), await begin(), await begin()]
  const runs = [free, ofCounters, ofRow, updated]
  expect(await look(...runs)).toEqual(new Set())
  const holders = [
    await holdLocked(engine, lockSqls.counters, ofCounters),
    await holdLocked(engine, lockSqls.row, ofRow),
    await holdLocked(engine, updateSql, updated),
  ]
  expect(await look(...runs)).toEqual(new Set([ofCounters, ofRow, updated]))
  for (const { release } of holders) await release()
  expect(await look(...runs)).toEqual(new Set())
  await remove(...runs)
  expect(await look(...runs)).toEqual(new Set())
})

test('a look gives up a table that somebody has locked, like any other wait for a lock', async () => {
  const run = await begin()
  const { release } = await holdLocked(engine, 'lock table workflow_run in access exclusive mode')
  await expect(look(run)).rejects.toSatisfy(isLockedOut)
  await release()
  await remove(run)
})

test('a run that is only referred to, as by a commit of its new jobs, is free', async () => {
  const run = await begin()
  const { release } = await holdLocked(engine, 'select from workflow_run where id = $1 for key share', run)
  expect(await look(run)).toEqual(new Set())
  await release()
  await remove(run)
})
