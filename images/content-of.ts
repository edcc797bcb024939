import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/** A digest of files and folders: of names, content, links and who may run what, and not of times. `more` is added to it. */
export const contentOf = (paths: readonly string[], more: readonly string[] = []): string => {
  const digest = createHash('sha256')
  const add = (...parts: (string | Buffer)[]): void => {
    // With its length, or two parts could be split in another place.
    for (const part of parts) digest.update(`${part.length} `).update(part)
  }
  const addPath = (path: string, name: string): void => {
    const { mode, isLink, isFolder } = kindOf(path)
    add(name, String(mode))
    if (isLink) add(readlinkSync(path))
    else if (!isFolder) add(readFileSync(path))
    else for (const below of readdirSync(path).toSorted()) addPath(join(path, below), join(name, below))
  }
  for (const path of paths) addPath(path, '')
  add(...more)
  return digest.digest('hex')
}

const kindOf = (path: string) => {
  const stat = lstatSync(path)
  return { mode: stat.mode, isLink: stat.isSymbolicLink(), isFolder: stat.isDirectory() }
}
