import type { MikroORM } from '@mikro-orm/postgresql'
import { type Loop, type LoopEvent, startLoop } from '../loop.ts'
import { begunSince, overdueTick } from './overdue-tick.ts'
import { readCronSteps } from './read-cron-steps.ts'
import { readLastTicks } from './read-last-ticks.ts'

export type TickWatchEvent =
  | { kind: 'tick.overdue'; stepId: string; step: string; workflow: string; at: string }
  | { kind: 'ticks.watched'; overdue: number }

const everyMs = 60_000

/**
 * Looks whether ticks begin runs, whoever fires them: what comes of a tick in a cluster, nobody there tells us. Each that
 * is overdue is told once.
 */
export const startWatchingTicks = (orm: MikroORM, observe: (event: LoopEvent | TickWatchEvent) => void): Loop => {
  let told = new Map<string, string>()
  return startLoop(
    'watch-ticks',
    async () => {
      const em = orm.em.fork()
      const { now, steps } = await readCronSteps(em)
      const due = steps.flatMap((step) => {
        const tick = overdueTick(step, undefined, now)
        return tick === null ? [] : [{ ...step, tick, from: begunSince(tick) }]
      })
      const last = await readLastTicks(em, due)
      const before = told
      told = new Map()
      for (const { stepId, name, workflowName, tick, from } of due) {
        const begun = last.get(stepId)
        if (begun !== undefined && begun.at >= from) continue
        const at = tick.toISOString()
        told.set(stepId, at)
        if (before.get(stepId) !== at) observe({ kind: 'tick.overdue', stepId, step: name, workflow: workflowName, at })
      }
      observe({ kind: 'ticks.watched', overdue: told.size })
      return everyMs * (0.75 + Math.random() / 2)
    },
    observe,
  )
}
