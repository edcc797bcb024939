import type { MikroORM } from '@mikro-orm/postgresql'
import { type Loop, type LoopEvent, startLoop } from '../loop.ts'
import { type Awaited, dueTicks, keyOf, pauseUntilNext, type Schedule } from './due-ticks.ts'
import { type CronStep, faultOfCronStep, readCronSteps } from './read-cron-steps.ts'
import { startTickRunner, type TickEvent, type TickProgram } from './tick-runner.ts'

/** What the scheduler tells of its work. */
export type CronEvent =
  | LoopEvent
  | TickEvent
  | { kind: 'tick.missed'; stepId: string; key: string }
  | { kind: 'schedule.unreadable'; stepId: string; step: string; workflow: string }

export type SchedulerOptions = {
  orm: MikroORM
  program: TickProgram
  /** How long ticks that run may take to end when the scheduler stops. */
  graceMs: number
  observe: (event: CronEvent) => void
}

/** Another control plane may have saved; ticks of its steps may then begin this much late. */
const pollMs = 3_000

/**
 * Fires the ticks of all cron steps of this database, for as long as there is no cluster to do it. What should tick is
 * read anew at every turn and never remembered from a save, so nothing that was missed stays missed. Time is the
 * database's, as are the times of the saves that it is compared with.
 */
export const startScheduler = ({ orm, program, graceMs, observe }: SchedulerOptions): Loop => {
  const runner = startTickRunner({ program, graceMs, observe })
  let tried: Tried = new Map()
  let awaited: Awaited = new Map()

  const turn = async (): Promise<number> => {
    const { now, steps } = await readCronSteps(orm.em.fork())
    const read = performance.now()
    const { ticking, ...next } = tickingSteps(steps, tried, observe)
    tried = next.tried
    const look = dueTicks(ticking, awaited, now)
    awaited = look.awaited
    for (const tick of look.missed) observe({ kind: 'tick.missed', stepId: tick.stepId, key: keyOf(tick) })
    for (const tick of look.due) runner.fire(tick)
    // One millisecond more: a turn that comes just before a tick would only have to be repeated.
    return Math.max(0, pauseUntilNext(awaited, now, pollMs) - (performance.now() - read)) + 1
  }

  const loop = startLoop('cron', turn, observe)
  return {
    wake: loop.wake,
    stop: async () => {
      await loop.stop()
      await runner.stop()
    },
  }
}

/** Which configs can be followed, by step and save, so that each is tried once. */
type Tried = ReadonlyMap<string, boolean>

/** The steps that tick now. One whose config cannot be followed was not saved through the API; it is told once. */
const tickingSteps = (
  steps: readonly CronStep[],
  before: Tried,
  observe: (event: CronEvent) => void,
): { ticking: Schedule[]; tried: Tried } => {
  const tried = new Map<string, boolean>()
  const ticking = steps.flatMap(({ stepId, name, workflowName, enabled, savedAt, since, config }) => {
    const key = `${stepId} ${savedAt.toISOString()}`
    const known = before.get(key)
    const readable = known ?? faultOfCronStep(config) === null
    tried.set(key, readable)
    if (!readable && known === undefined) {
      observe({ kind: 'schedule.unreadable', stepId, step: name, workflow: workflowName })
    }
    return config !== null && readable && enabled && !config.suspend ? [{ stepId, since, ...config }] : []
  })
  return { ticking, tried }
}
