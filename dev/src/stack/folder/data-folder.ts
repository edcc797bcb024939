import { hash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, realpathSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { reasonOf } from '@esteira/service'
import { openRegistry, type Registry } from '../../processes/registry.ts'
import { StackError } from '../errors.ts'
import type { Observe } from '../service.ts'
import { lockFolder } from './lock.ts'
import { newState, readState, stateFile, writeState, type StackState } from './state.ts'

/** A data folder that this process holds. */
export type DataFolder = {
  path: string
  /** Short, and different for every folder: it names what cannot live inside. */
  hash: string
  /** For data of another user, when the folder is where only root gets to. */
  outside: string
  registry: Registry
  state: () => StackState
  /** Changes the state and writes it. */
  remember: (change: Partial<StackState>) => void
  logFile: (name: string) => string
  /** Gives the folder back to others. */
  release: () => void
}

/**
 * Takes a data folder, making it if it is not there, and stops what an earlier start left running in it.
 *
 * @throws StackError `folder_unusable` when it cannot be made or written to, `folder_busy` while another process holds it,
 * `folder_foreign` when something else is in it.
 */
export const openDataFolder = async (wanted: string, observe: Observe): Promise<DataFolder> => {
  makeFolder(wanted)
  const path = realpathSync(wanted)
  const folderHash = hash('sha256', path).slice(0, 10)
  const release = lockFolder(path)
  try {
    let state = readState(path)
    if (state === undefined) {
      refuseForeign(path)
      state = newState(folderHash)
      writeState(path, state)
    }
    // Postgres may run as another user, who must be able to walk through.
    chmodSync(path, 0o755)
    mkdirSync(join(path, 'logs'), { recursive: true })
    const registry = openRegistry(join(path, 'processes.json'), path)
    await registry.stopOrphans((orphan) => observe({ kind: 'orphan.stopped', ...orphan }))
    let current = state
    return {
      path,
      hash: folderHash,
      outside: `/var/lib/esteira/${folderHash}`,
      registry,
      state: () => current,
      remember: (change) => {
        current = { ...current, ...change }
        writeState(path, current)
      },
      logFile: (name) => join(path, 'logs', `${name}.log`),
      release,
    }
  } catch (error) {
    release()
    throw error
  }
}

/** Node's own recursive mkdir never comes back from a parent that takes no folders, such as /proc. */
const makeFolder = (path: string): void => {
  if (existsSync(path)) {
    if (!statSync(path).isDirectory()) throw new StackError('folder_unusable', `${path} is not a folder`)
    return
  }
  makeFolder(dirname(path))
  try {
    mkdirSync(path)
  } catch (cause) {
    // Another start was faster.
    if (existsSync(path)) return
    throw new StackError('folder_unusable', `${path} cannot be made: ${reasonOf(cause)}`, { cause })
  }
}

/**
 * Refuses a folder that has no state and holds anything but stacks of their own: `emptyDataFolder` would delete it. A start
 * that was killed at once has left a lock, or a state that was not whole yet.
 */
const refuseForeign = (path: string): void => {
  const foreign = readdirSync(path).find(
    (name) => !/^lock(\.|$)/.test(name) && name !== `${stateFile}.new` && !existsSync(join(path, name, stateFile)),
  )
  if (foreign === undefined) return
  throw new StackError(
    'folder_foreign',
    `${path} holds something else, ${foreign}; choose a new folder, an empty one, or one of an earlier start`,
  )
}

/**
 * Empties a data folder that this process holds, all but the folders of other stacks in it, and gives it a new state.
 * That it is ours to empty is known from `openDataFolder`.
 */
export const emptyDataFolder = (folder: DataFolder): void => {
  const kept = new Set(['lock', 'logs', 'processes.json', stateFile])
  for (const name of readdirSync(folder.path)) {
    const entry = join(folder.path, name)
    if (!kept.has(name) && !existsSync(join(entry, stateFile))) rmSync(entry, { recursive: true, force: true })
  }
  rmSync(folder.outside, { recursive: true, force: true })
  for (const name of readdirSync(join(folder.path, 'logs'))) rmSync(join(folder.path, 'logs', name), { force: true })
  folder.remember(newState(folder.hash))
}
