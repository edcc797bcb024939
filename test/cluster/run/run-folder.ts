import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openRegistry, type Registry } from '@esteira/dev/processes'
import { lockFolder } from '@esteira/dev/stack'
import { clearDeadRuns } from './clear-dead-runs.ts'
import { removeRunFolder } from './remove-run-folder.ts'

/** A folder of one run: what it starts is on record there, and is gone with it. */
export type RunFolder = {
  path: string
  registry: Registry
  logFile: (name: string) => string
  /** The pid of the process that ends what is left. */
  undertaker: number | undefined
  /** Removes the folder; whoever started something has stopped it before. */
  release: () => Promise<void>
}

/** Where runs of this user have their folders. It is short: the path of a socket has 107 bytes at most. */
export const runsFolder = join(tmpdir(), `esteira-runs-${process.getuid?.() ?? 0}`)

/**
 * Opens a folder for this process, which may have several. Should the process die, however it dies, a process of its own
 * ends what was started and removes the folder; should that one die as well, the next run does.
 */
export const openRunFolder = async (runs: string = runsFolder): Promise<RunFolder> => {
  mkdirSync(runs, { recursive: true, mode: 0o700 })
  await clearDeadRuns(runs)
  const path = realpathSync(mkdtempSync(join(runs, 'run-')))
  lockFolder(path)
  const undertaker = spawn(process.execPath, [fileURLToPath(new URL('./undertaker/main.ts', import.meta.url)), path], {
    detached: true,
    env: {},
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const buried = once(undertaker, 'exit')
  // It waits for us, and not we for it.
  undertaker.unref()
  if ('unref' in undertaker.stdin && typeof undertaker.stdin.unref === 'function') undertaker.stdin.unref()
  return {
    path,
    registry: openRegistry(join(path, 'processes.json'), path),
    logFile: (name) => join(path, `${name}.log`),
    undertaker: undertaker.pid,
    release: async () => {
      removeRunFolder(path)
      undertaker.ref()
      undertaker.stdin.end()
      await buried
    },
  }
}
