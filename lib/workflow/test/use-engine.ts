import { afterAll, afterEach, beforeAll } from 'vitest'
import { type Engine, openEngine } from './engine.ts'
import { expectConserved } from './expect-conserved.ts'

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
