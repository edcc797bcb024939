import { setTimeout as pause } from 'node:timers/promises'
import type { StartedProcess } from '@esteira/dev/processes'
import { kill, runningIn } from '../support/npm-start.ts'

/** Long enough that a relay's lanes are taken by the other one before it wakes, in most cases; milliseconds. */
const longestFrostMs = 25_000

export type Blow = { victim: string; kind: 'killed' | 'frozen' }

/**
 * Everything may be killed; a relay may also be frozen, to wake when it owns its lanes no more. Each of these comes once
 * in a random order, and then all of them again in another.
 */
export function* blowsOn(programs: readonly string[], relays: readonly string[]): Generator<Blow> {
  const all: Blow[] = [
    ...[...programs, 'postgres', 'rabbitmq'].map((victim) => ({ victim, kind: 'killed' }) as const),
    ...relays.map((victim) => ({ victim, kind: 'frozen' }) as const),
  ]
  for (;;)
    yield* all
      .map((blow) => ({ blow, at: Math.random() }))
      .toSorted((a, b) => a.at - b.at)
      .map(({ blow }) => blow)
}

/** Strikes; resolves at once, or for one that is frozen, when it has been thawed. */
export const strike = async (
  { victim, kind }: Blow,
  programs: ReadonlyMap<string, StartedProcess>,
  dataDir: string,
): Promise<void> => {
  const program = programs.get(victim)
  if (kind === 'frozen') {
    program?.kill('SIGSTOP')
    await pause(Math.random() * longestFrostMs)
    program?.kill('SIGCONT')
  } else if (program === undefined) {
    const pid = runningIn(dataDir).get(victim)
    // It may still be on its way up from the blow before.
    if (pid !== undefined) kill(pid)
  } else program.kill('SIGKILL')
}
