import { settleWaitingRuns } from '@esteira/workflow'
import type { MikroORM } from '@mikro-orm/postgresql'
import { type Loop, type LoopEvent, startLoop } from '../loop.ts'

const everyMs = 1_000
const atOnce = 100

/** Ends the runs of which nothing is open any more and whose worker died before it could say so. */
export const startSettlingRuns = (orm: MikroORM, observe: (event: LoopEvent) => void): Loop =>
  startLoop(
    'settle-runs',
    async () => {
      const ended = await settleWaitingRuns(orm.em.fork(), atOnce)
      // A full sweep means that more is waiting. Several control planes do not sweep in step.
      return ended < atOnce ? everyMs * (0.75 + Math.random() / 2) : 0
    },
    observe,
  )
