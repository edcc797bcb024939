import { waitFor } from '@esteira/test/support'
import { expect } from 'vitest'
import { carryOnCancels, dropHiddenPages, dropItemKeys, releaseWaitingJobs, settleWaitingRuns } from '../src/index.ts'
import type { Engine } from './engine.ts'

/**
 * Stops an engine's workers, lets the sweeps have their turn, and expects that nothing is stuck then and nothing lost or
 * doubled.
 */
export const expectConserved = async (engine: Engine): Promise<void> => {
  await engine.stopWorkers()
  await carryOnCancels(engine.em())
  await releaseWaitingJobs(engine.em(), { lane: engine.laneId })
  while ((await settleWaitingRuns(engine.em(), 1_000)) > 0);
  await dropHiddenPages(engine.em())
  await dropItemKeys(engine.em())
  expect(await engine.untrueCounters(), 'counters that differ from their rows').toEqual([])
  expect(await engine.unconserved(), 'jobs that are lost or doubled').toEqual([])
  expect(await engine.query(leftSql), 'what nobody needs any more').toEqual([])
  // A queue needs a moment to have back what a worker held.
  await waitFor(async () => (await engine.stuck()).length === 0, { describe: engine.stuck })
}

/** Jobs that are open, or may be sent again. */
const liveSql = `
  select from workflow_job job join workflow_run run on run.id = job.run_id
  where job.status not in ('succeeded', 'cancelled') and (job.status <> 'failed' or run.status <> 'cancelled')`

/** Hidden pages, and keys of items, of jobs that are over and are not sent again: nobody would ever remove them. */
const leftSql = `
  select 'hidden page' as what, parent_id as of from workflow_hidden_page page
  where not exists (${liveSql} and job.id = page.parent_id)
  union all
  select distinct 'key', parent_id from workflow_item_key key
  where not exists (${liveSql} and job.id = key.parent_id)`
