import { cronJobFunction, publishFunctions } from '@esteira/workflow'
import type { MikroORM } from '@mikro-orm/postgresql'
import { type Loop, type LoopEvent, startLoop } from '../loop.ts'

const everyMs = 300_000

/**
 * Publishes what a CronJob is, since cron pods come and go and nobody else could; again and again, as workers do, so that
 * of two releases side by side the one that stays has the last word.
 */
export const startPublishingFunctions = (orm: MikroORM, observe: (event: LoopEvent) => void): Loop =>
  startLoop(
    'publish-functions',
    async () => {
      await publishFunctions(orm.em.fork(), [cronJobFunction])
      return everyMs * (0.75 + Math.random() / 2)
    },
    observe,
  )
