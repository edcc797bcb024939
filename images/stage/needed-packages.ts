import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import * as z from 'zod'

/** A folder that programs need to run, seen from the root of the repository. */
export type NeededPackage = {
  folder: string
  /** One of ours, run as it is written; any other is JavaScript and lies in `node_modules`. */
  isOurs: boolean
}

/** What Node has to find: packages, and links in `node_modules` that lead to packages of ours, by their paths. */
export type Needed = { packages: readonly NeededPackage[]; links: ReadonlyMap<string, string> }

const names = z.record(z.string(), z.string()).default({})
const manifestSchema = z.object({
  dependencies: names,
  optionalDependencies: names,
  peerDependencies: names,
  peerDependenciesMeta: z.record(z.string(), z.object({ optional: z.boolean().optional() })).default({}),
})

/**
 * All that some of our packages need at run time, found as Node finds it: in the `node_modules` that lie here, so an image has
 * the very files that the tests ran with.
 *
 * @throws Error for a dependency that is not installed.
 */
export const neededPackages = (root: string, folders: readonly string[]): Needed => {
  const packages = new Map<string, NeededPackage>()
  const links = new Map<string, string>()
  const waiting = [...folders]
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    if (packages.has(folder)) continue
    packages.set(folder, { folder, isOurs: !folder.split(sep).includes('node_modules') })
    for (const name of dependenciesOf(join(root, folder))) {
      const found = find(root, folder, name)
      const target = relative(root, realpathSync(join(root, found)))
      if (target !== found) links.set(found, target)
      waiting.push(target)
    }
  }
  return { packages: [...packages.values()], links }
}

const dependenciesOf = (folder: string): string[] => {
  const manifest = manifestSchema.parse(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')))
  const peers = Object.keys(manifest.peerDependencies)
  // Those are there where a platform has them, and whoever asks for them goes on without.
  const optional = new Set(Object.keys(manifest.optionalDependencies))
  return [
    ...Object.keys(manifest.dependencies).filter((name) => !optional.has(name)),
    ...peers.filter((name) => manifest.peerDependenciesMeta[name]?.optional !== true),
  ]
}

/** Where Node finds a package that one in a folder asks for: in the nearest `node_modules` above it. */
const find = (root: string, from: string, name: string): string => {
  for (let above = from; ; above = dirname(above)) {
    const found = join(above, 'node_modules', name)
    if (existsSync(join(root, found))) return found
    if (above === '.') throw new Error(`${from} needs ${name}, which is not installed`)
  }
}
