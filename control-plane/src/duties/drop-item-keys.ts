import { dropItemKeys } from '@esteira/workflow'
import type { MikroORM } from '@mikro-orm/postgresql'
import { type Loop, type LoopEvent, startLoop } from '../loop.ts'

const everyMs = 30_000

/** Forgets the keys of the items of jobs that are over. */
export const startDroppingItemKeys = (orm: MikroORM, observe: (event: LoopEvent) => void): Loop =>
  startLoop(
    'drop-item-keys',
    async () => {
      await dropItemKeys(orm.em.fork())
      // Several control planes do not sweep in step.
      return everyMs * (0.75 + Math.random() / 2)
    },
    observe,
  )
