import { setTimeout as delay } from 'node:timers/promises'
import { sight } from './sighting.ts'

/**
 * Ends a process that need not be a child of this one: by a signal, and by SIGKILL to its whole group when it is still
 * there after `graceMs`. It must lead its group. Resolves when it is gone.
 */
export const endProcess = async (
  { pid, started }: { pid: number; started: string },
  { signal, graceMs }: { signal: NodeJS.Signals; graceMs: number },
): Promise<void> => {
  const alive = () => sight(pid)?.started === started
  if (!alive()) return
  send(pid, signal)
  if (await goneWithin(alive, graceMs)) return
  send(-pid, 'SIGKILL')
  if (!(await goneWithin(alive, afterKillMs))) throw new Error(`process ${pid} is still there after SIGKILL`)
}

/** Sends a signal to a process, or with a negative number to its group; one that has ended meanwhile is no fault. */
export const send = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** The kernel frees the memory of a large process before it is gone; more than some seconds is a hung disk. */
const afterKillMs = 10_000

const goneWithin = async (alive: () => boolean, ms: number): Promise<boolean> => {
  const deadline = performance.now() + ms
  while (alive()) {
    if (performance.now() > deadline) return false
    await delay(20)
  }
  return true
}
