import { waitFor } from '@esteira/test/support'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { carryOnCancels, releaseWaitingJobs, settleWaitingRuns } from '../src/index.ts'
import { type Engine, openEngine } from './engine.ts'

/**
 * An engine for the tests of a file. After each test its workers are stopped, the sweeps have their turn, and then
 * nothing may be stuck and nothing lost or doubled, whatever the test was about.
 */
export const useEngine = (give: (engine: Engine) => void): void => {
  let engine: Engine | undefined
  beforeAll(async () => {
    engine = await openEngine()
    give(engine)
  })
  afterEach(async () => {
    if (engine !== undefined) await expectConserved(engine)
  })
  afterAll(() => engine?.close())
}

const expectConserved = async (engine: Engine): Promise<void> => {
  await engine.stopWorkers()
  await carryOnCancels(engine.em())
  await releaseWaitingJobs(engine.em(), { lane: engine.laneId })
  while ((await settleWaitingRuns(engine.em(), 1_000)) > 0);
  expect(await engine.untrueCounters(), 'counters that differ from their rows').toEqual([])
  expect(await engine.unconserved(), 'jobs that are lost or doubled').toEqual([])
  // A queue needs a moment to have back what a worker held.
  await waitFor(async () => (await engine.stuck()).length === 0, { describe: engine.stuck })
}
