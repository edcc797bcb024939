import { describeExit, type ProcessEvent } from '@esteira/dev/processes'
import type { Blow } from '../strike.ts'

/**
 * How the processes of a trial end: by a blow, or that is a fault. One that was asked to end has to say 0, once it has
 * said that it is ready; before that it may not have begun to listen.
 */
export const watchExits = () => {
  const lives = new Map<string, { isReady: boolean; how: Blow['how'] | null }>()
  const faults: string[] = []
  let asked = 0
  return {
    faults,
    /** How many ended because they were asked to. */
    asked: () => asked,
    blow: ({ victim, how }: Blow): void => {
      const life = lives.get(victim)
      // Frozen, it does not end; and whoever is killed while it ends was killed.
      if (life !== undefined && how !== 'frozen' && life.how !== 'killed') life.how = how
    },
    observe: (event: ProcessEvent): void => {
      if (event.kind === 'process.started') lives.set(event.name, { isReady: false, how: null })
      if (event.kind === 'process.ready')
        lives.set(event.name, { isReady: true, how: lives.get(event.name)?.how ?? null })
      if (event.kind !== 'process.exited') return
      const { name, exit, lastLines } = event
      const { isReady, how } = lives.get(name) ?? { isReady: false, how: null }
      if (how === 'killed') return
      if (how === 'stopped') asked += 1
      const isOrderly = exit.kind === 'ended' && (exit.code === 0 || (exit.signal === 'SIGTERM' && !isReady))
      if (how === 'stopped' && isOrderly) return
      faults.push([`${name}, ${how ?? 'untouched'}, ${describeExit(exit)}`, ...lastLines.slice(-3)].join('\n  '))
    },
  }
}
