import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Removes the folder of a run, its lock last: what is left of it without one, when whoever removes it is killed or fails,
 * would be taken for a folder that is just being made, and left alone for good.
 */
export const removeRunFolder = (path: string): void => {
  const names = existsSync(path) ? readdirSync(path) : []
  for (const name of names) if (name !== 'lock') rmSync(join(path, name), { recursive: true, force: true })
  rmSync(path, { recursive: true, force: true })
}
