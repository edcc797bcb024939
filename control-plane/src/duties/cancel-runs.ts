import { carryOnCancels } from '@esteira/workflow'
import type { MikroORM } from '@mikro-orm/postgresql'
import { type Loop, type LoopEvent, startLoop } from '../loop.ts'

const everyMs = 1_000

/** Carries on the cancels of runs: those that are large, that wait for a function, or whose canceller died. */
export const startCancellingRuns = (orm: MikroORM, observe: (event: LoopEvent) => void): Loop => {
  const rests = new Map<string, number>()
  return startLoop(
    'cancel-runs',
    async () => {
      await carryOnCancels(orm.em.fork(), rests)
      // Several control planes do not sweep in step.
      return everyMs * (0.75 + Math.random() / 2)
    },
    observe,
  )
}
