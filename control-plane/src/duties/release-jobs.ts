import { releaseWaitingJobs } from '@esteira/workflow'
import type { MikroORM } from '@mikro-orm/postgresql'
import { type Loop, type LoopEvent, startLoop } from '../loop.ts'

const everyMs = 1_000

/** Releases jobs that wait although their window has room: the worker that made the room died before it could say so. */
export const startReleasingJobs = (orm: MikroORM, lane: number, observe: (event: LoopEvent) => void): Loop =>
  startLoop(
    'release-jobs',
    async () => {
      await releaseWaitingJobs(orm.em.fork(), { lane })
      // Several control planes do not sweep in step.
      return everyMs * (0.75 + Math.random() / 2)
    },
    observe,
  )
