import { hash } from 'node:crypto'
import { existsSync, mkdirSync, realpathSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { lockFolder, StackError } from '@esteira/dev/stack'

/** What tools are brought with. */
export type Means = {
  /** A folder outside the work tree that outlives the run. */
  cache: string
  /** The environment of the calling process: its PATH is searched, and package managers read the rest. */
  env: NodeJS.ProcessEnv
  /** Tells a person what takes its time. */
  tell: (line: string) => void
}

/** Where tools are kept: `ESTEIRA_TEST_CACHE`, else `esteira` among the caches of the user. */
export const cacheFolder = (env: NodeJS.ProcessEnv): string =>
  env['ESTEIRA_TEST_CACHE'] ?? join(env['XDG_CACHE_HOME'] ?? join(env['HOME'] ?? homedir(), '.cache'), 'esteira')

/** Something that is made once and kept. */
export type Entry = {
  name: string
  version: string
  /** All that its content depends on: another key is another entry. */
  key: readonly string[]
  /** Puts everything into the folder. */
  make: (folder: string) => Promise<void>
}

/**
 * The folder of an entry, made now if it is not there. Of several that want it at once one makes it and the others wait;
 * it is there whole or not at all, also when its maker was killed.
 */
export const cached = async (root: string, { name, version, key, make }: Entry): Promise<string> => {
  mkdirSync(root, { recursive: true })
  const entry = `${name}-${version}-${hash('sha256', JSON.stringify(key)).slice(0, 12)}`
  const folder = join(realpathSync(root), entry)
  if (existsSync(folder)) return folder
  return inTurn(root, entry, async () => {
    if (existsSync(folder)) return folder
    const making = `${folder}.making`
    rmSync(making, { recursive: true, force: true })
    mkdirSync(making)
    try {
      await make(making)
      renameSync(making, folder)
    } finally {
      rmSync(making, { recursive: true, force: true })
    }
    return folder
  })
}

/** Does something that only one process of this machine may do at a time. */
export const inTurn = async <T>(root: string, what: string, act: () => Promise<T>): Promise<T> => {
  const folder = join(realpathSync(root), 'turns', what)
  mkdirSync(folder, { recursive: true })
  const release = await take(folder)
  try {
    return await act()
  } finally {
    release()
  }
}

/** Waits as long as it takes: whoever has it is at work, since the lock of a process that is gone does not count. */
const take = async (folder: string): Promise<() => void> => {
  for (;;) {
    try {
      return lockFolder(folder)
    } catch (error) {
      if (!(error instanceof StackError && error.code === 'folder_busy')) throw error
    }
    await delay(100)
  }
}

/** Where the output of what makes an entry goes. */
export const toolLog = ({ cache }: Means, name: string): string => {
  mkdirSync(join(cache, 'logs'), { recursive: true })
  return join(cache, 'logs', `${name}.log`)
}
