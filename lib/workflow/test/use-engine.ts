import { queryable, registerLane } from '@esteira/outbox'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { type Engine, openEngine } from './engine.ts'
import { expectConserved } from './expect-conserved.ts'

/**
 * An engine for the tests of a file. After each test its workers are stopped, the sweeps have their turn, and then
 * nothing may be stuck and nothing lost or doubled, whatever the test was about. `unread` is a lane that no relay reads:
 * its messages stay to be looked at.
 */
export const useEngine = (give: (engine: Engine, unread: number) => void): void => {
  let engine: Engine | undefined
  beforeAll(async () => {
    engine = await openEngine()
    give(engine, await registerLane(queryable(engine.em()), 'nobody reads it'))
  })
  afterEach(async () => {
    if (engine !== undefined) await expectConserved(engine)
  })
  afterAll(() => engine?.close())
}
