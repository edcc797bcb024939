import { dropHiddenPages } from '@esteira/workflow'
import type { MikroORM } from '@mikro-orm/postgresql'
import { type Loop, type LoopEvent, startLoop } from '../loop.ts'

const everyMs = 5_000

/** Removes the hidden children of attempts that died or failed before all of them were there. */
export const startDroppingHiddenPages = (orm: MikroORM, observe: (event: LoopEvent) => void): Loop =>
  startLoop(
    'drop-hidden-pages',
    async () => {
      await dropHiddenPages(orm.em.fork())
      // Several control planes do not sweep in step.
      return everyMs * (0.75 + Math.random() / 2)
    },
    observe,
  )
