import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { openRegistry } from '@esteira/dev/processes'
import { lockFolder, StackError } from '@esteira/dev/stack'
import { clearNode } from '../node/clear-node.ts'
import { removeRunFolder } from './remove-run-folder.ts'

/** Ends what dead runs left running, and removes their folders. */
export const clearDeadRuns = async (runs: string): Promise<void> => {
  for (const name of readdirSync(runs)) await clearDeadRun(join(runs, name))
}

/**
 * Ends the processes of a run that is dead, which are told by pid and start time, and removes its folder.
 *
 * @returns false when the run is alive, or somebody else is clearing it.
 */
export const clearDeadRun = async (path: string): Promise<boolean> => {
  // Without a lock it is just being made.
  if (!existsSync(join(path, 'lock'))) return false
  if (!isTaken(path)) return false
  await openRegistry(join(path, 'processes.json'), path).stopOrphans(() => undefined)
  await clearNode(path)
  removeRunFolder(path)
  return true
}

const isTaken = (path: string): boolean => {
  try {
    lockFolder(path)
    return true
  } catch (error) {
    // Busy while its run or somebody who clears it is alive, unusable when it has just been removed.
    if (error instanceof StackError) return false
    throw error
  }
}
