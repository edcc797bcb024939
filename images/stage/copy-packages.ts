import { chmodSync, copyFileSync, mkdirSync, readdirSync, statSync, symlinkSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { isLicence, licenceFilesOf } from './licences.ts'
import type { Needed } from './needed-packages.ts'

/** Copies packages, and the links to them, from one root to another. */
export const copyPackages = (root: string, { packages, links }: Needed, into: string): void => {
  for (const { folder, isOurs } of packages) {
    const isLeftOut = isOurs ? isBesideSources : isPackage
    const licences = isOurs ? [] : licenceFilesOf(join(root, folder))
    const isKept = isOurs ? isOfOurs : (file: string) => isOfOthers(file) || licences.includes(file)
    for (const file of filesBelow(join(root, folder), isLeftOut).filter(isKept)) {
      copyFile(join(root, folder, file), join(into, folder, file))
    }
  }
  for (const [link, target] of links) {
    mkdirSync(join(into, dirname(link)), { recursive: true })
    symlinkSync(relative(dirname(link), target), join(into, link))
  }
}

/** Copies a file, with the folders above it. */
export const copyFile = (from: string, to: string): void => {
  mkdirSync(dirname(to), { recursive: true })
  copyFileSync(from, to)
}

/** Lets everybody read what is in a folder, whatever the umask of who made it: another user runs it. */
export const letAllRead = (folder: string): void => {
  chmodSync(folder, 0o755)
  for (const file of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, file.name)
    if (file.isDirectory()) letAllRead(path)
    else if (file.isFile()) chmodSync(path, (statSync(path).mode & 0o111) === 0 ? 0o644 : 0o755)
  }
}

/** The files of a folder and those below it, but for folders that are left out, by their paths from there. */
const filesBelow = (folder: string, isLeftOut: (name: string) => boolean): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((file) => {
    if (file.isFile()) return [file.name]
    if (!file.isDirectory() || isLeftOut(file.name)) return []
    return filesBelow(join(folder, file.name), isLeftOut).map((below) => join(file.name, below))
  })

/** A package below another is one of its own, needed or not. */
const isPackage = (name: string): boolean => name === 'node_modules'

/** What of our packages no program reads. */
const isBesideSources = (name: string): boolean => isPackage(name) || ['test', 'build', 'dist'].includes(name)

const isOfOurs = (file: string): boolean =>
  file === 'package.json' || (/\.(ts|sql)$/.test(file) && !/\.(test|d)\.ts$/.test(file))

/** Types, maps and prose stay here, but for licences. Node runs no TypeScript that lies in `node_modules`. */
const isOfOthers = (file: string): boolean => !/\.([cm]?ts|tsx|map|md|markdown)$/i.test(file) || isLicence(file)
