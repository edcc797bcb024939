import { setTimeout as pause } from 'node:timers/promises'
import type { StartedProcess } from '@esteira/dev/processes'
import { kill, runningIn, treeOf } from '../support/npm-start.ts'

/** Between the first sign of work after a blow and the next blow, milliseconds. */
const longestPauseMs = 2_000
/** Long enough that what a frozen process had is with another one before it wakes, in most cases; milliseconds. */
const longestFrostMs = 25_000

/** `stopped` is asked to end, by the signal for that; who is `frozen`, a server with all its processes, wakes again. */
export type Blow = { victim: string; how: 'killed' | 'stopped' | 'frozen' }

/** A blow and its time: so long after work was seen, and for one that freezes, for how long. */
export type TimedBlow = Blow & { afterMs: number; frostMs: number }

/** Each of the blows once in a random order, and then all of them again in another. */
export function* blowsIn(all: readonly Blow[], random: () => number): Generator<TimedBlow> {
  for (;;) {
    const shuffled = all.map((blow) => ({ blow, at: random() })).toSorted((a, b) => a.at - b.at)
    for (const { blow } of shuffled)
      yield { ...blow, afterMs: random() * longestPauseMs, frostMs: random() * longestFrostMs }
  }
}

/** How services are asked to end; Postgres by a fast shutdown, which does not wait for its clients. */
const signalToEnd: Record<string, NodeJS.Signals> = { postgres: 'SIGINT', rabbitmq: 'SIGTERM' }

/** Strikes; resolves at once, or for one that is frozen, when it has been thawed. */
export const strike = async (
  { victim, how, frostMs }: TimedBlow,
  programs: ReadonlyMap<string, StartedProcess>,
  dataDir: string,
): Promise<void> => {
  const program = programs.get(victim)
  const pid = program === undefined ? runningIn(dataDir).get(victim) : program.pid()
  // It may still be on its way up from the blow before.
  if (pid === undefined) return
  if (how === 'killed') kill(pid, 'SIGKILL')
  else if (how === 'stopped') kill(pid, program === undefined ? signalToEnd[victim] : 'SIGTERM')
  else {
    const thaw = freeze(pid, program === undefined ? treeOf : (alone) => [alone])
    await pause(frostMs)
    thaw()
  }
}

/** Freezes a process and all that `all` finds of it then, and gives what thaws them. */
export const freeze = (pid: number, all: (pid: number) => number[]): (() => void) => {
  // The one above first: it starts no more of them.
  kill(pid, 'SIGSTOP')
  const frozen = all(pid)
  for (const one of frozen) kill(one, 'SIGSTOP')
  return () => {
    for (const one of frozen.toReversed()) kill(one, 'SIGCONT')
  }
}
