import { execFile } from 'node:child_process'
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

/** Whom Postgres runs as when we are root, which it refuses. */
export type ServiceUser = { name: string; uid: number; gid: number }

/** The user `nobody`, which every system has; undefined when we are not root, and Postgres runs as who we are. */
export const serviceUser = async (): Promise<ServiceUser | undefined> => {
  if (process.getuid?.() !== 0) return undefined
  return { name: 'nobody', uid: await idOf('-u'), gid: await idOf('-g') }
}

const idOf = async (which: '-u' | '-g'): Promise<number> => {
  const { stdout } = await promisify(execFile)('id', [which, 'nobody'])
  // macOS gives nobody the id -2, which the system calls take as an unsigned number.
  return Number(stdout.trim()) >>> 0
}

/** Whether a stranger can walk to a folder: not below /root, which is closed to others. */
export const isReachable = (folder: string): boolean => {
  const open = (statSync(folder).mode & 0o001) !== 0
  return open && (dirname(folder) === folder || isReachable(dirname(folder)))
}
