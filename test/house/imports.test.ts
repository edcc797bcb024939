import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { expect, test } from 'vitest'
import * as z from 'zod'

const root = resolve(import.meta.dirname, '../..')

const workers = globSync('workers/*/package.json', { cwd: root }).map(dirname)

/** Who may import whom. Services meet in rows and messages, never in each other's code. */
const allowed: Record<string, readonly string[]> = {
  'lib/http': [],
  'lib/outbox': [],
  'lib/service': [],
  'lib/sql': ['lib/service'],
  // The tables are for its testbed alone.
  'lib/workflow': ['lib/outbox', 'lib/service', 'migrations'],
  sidecar: ['lib/outbox', 'lib/service'],
  ...Object.fromEntries(workers.map((folder) => [folder, ['lib/http', 'lib/service', 'lib/workflow']])),
  'workers/cron-job': ['lib/outbox', 'lib/service', 'lib/workflow'],
  'workers/database-query': ['lib/service', 'lib/sql', 'lib/workflow'],
  migrations: ['lib/outbox'],
  'control-plane': ['lib/outbox', 'lib/service', 'lib/sql', 'lib/workflow', 'migrations'],
  dev: ['lib/service', 'migrations'],
}
const folders = Object.keys(allowed)

const packages = z.record(z.string(), z.string()).default({})
const packageSchema = z.object({
  name: z.string(),
  dependencies: packages,
  devDependencies: packages,
  peerDependencies: packages,
})

const packageFolders = new Map(folders.map((folder) => [readPackage(folder).name, folder]))

test.each(folders)('%s imports only what it may, and says so in its package.json', (folder) => {
  const files = globSync(`${folder}/**/*.ts`, {
    cwd: root,
    // Tests and builds run beside the services, not in them.
    exclude: ['**/node_modules/**', '**/*.test.ts', '*/**/test/**', '*/**/build/**'],
  })
  expect(files.length, 'files read').toBeGreaterThan(0)
  const { dependencies } = readPackage(folder)
  const faults = files.flatMap((file) =>
    importsOf(file).flatMap((specifier) => faultOf(folder, file, specifier, dependencies)),
  )
  expect(faults).toEqual([])
})

// They are what is copied for the next function.
test.each(workers)(
  'the tests of %s stay in their folder as well, and its package.json names what they import',
  (folder) => {
    const files = globSync(`${folder}/**/*.ts`, { cwd: root, exclude: ['**/node_modules/**'] })
    const { dependencies, forTests } = readPackage(folder)
    const named = [...dependencies, ...forTests]
    const faults = files.flatMap((file) =>
      importsOf(file).flatMap((specifier) => faultOfPlace(folder, file, specifier, named)),
    )
    expect(files.some((file) => file.endsWith('.test.ts'))).toBe(true)
    expect(faults).toEqual([])
  },
)

test('of the workflow library, the testbed alone makes tables', () => {
  const files = globSync('lib/workflow/src/**/*.ts', { cwd: root })
  const making = files.filter((file) => importsOf(file).some((name) => name.startsWith('@esteira/migrations')))
  expect(making).toEqual(['lib/workflow/src/testing/test-database.ts'])
})

const faultOf = (folder: string, file: string, specifier: string, dependencies: readonly string[]): string[] => {
  const target = packageFolders.get(packageOf(specifier))
  if (target !== undefined && allowed[folder]?.includes(target) !== true) return [`${file} imports ${specifier}`]
  return faultOfPlace(folder, file, specifier, dependencies)
}

/** A relative import that leaves the folder, or one of a package that its package.json does not name. */
const faultOfPlace = (folder: string, file: string, specifier: string, named: readonly string[]): string[] => {
  if (specifier.startsWith('node:')) return []
  if (specifier.startsWith('.')) {
    const target = relative(root, join(root, dirname(file), specifier))
    return target.startsWith(folder + sep) ? [] : [`${file} reaches out of its folder to ${specifier}`]
  }
  const name = packageOf(specifier)
  return named.includes(name) ? [] : [`${file} imports ${name}, which ${folder}/package.json does not name`]
}

const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

const importsOf = (file: string): string[] => {
  const source = readFileSync(join(root, file), 'utf8')
  return [
    ...source.matchAll(/(?:^|\n)(?:import|export)\s(?:[^'"]*?\sfrom\s)?['"]([^'"]+)['"]|import\(['"]([^'"]+)['"]\)/g),
  ]
    .map((match) => match[1] ?? match[2])
    .filter((specifier) => specifier !== undefined)
}

function readPackage(folder: string): { name: string; dependencies: string[]; forTests: string[] } {
  const text = readFileSync(join(root, folder, 'package.json'), 'utf8')
  const { name, dependencies, peerDependencies, devDependencies } = packageSchema.parse(JSON.parse(text))
  return {
    name,
    dependencies: Object.keys({ ...dependencies, ...peerDependencies }),
    forTests: Object.keys(devDependencies),
  }
}
