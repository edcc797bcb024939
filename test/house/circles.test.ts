import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { expect, test } from 'vitest'

/**
 * Folders of a package are layers: what a folder imports knows nothing of it, by however many folders in between. So each
 * can be read with what is below it, and nothing else.
 */

const root = resolve(import.meta.dirname, '../..')

/** These still have circles, as of the control plane's `http`, which knows all routes, with those. */
const left = new Set(['control-plane/src', 'workers/database-query/src'])

const packages = globSync(['{lib,workers}/*/src', '{sidecar,control-plane,dev}/src'], { cwd: root }).filter(
  (folder) => !left.has(folder),
)

type Graph = Map<string, Set<string>>

const graphOf = (sources: Record<string, readonly string[]>): Graph => {
  const graph: Graph = new Map()
  for (const [file, imported] of Object.entries(sources)) {
    const from = layerOf(file)
    const known = graph.get(from) ?? new Set()
    graph.set(from, known)
    for (const layer of imported.map(layerOf)) if (layer !== from) known.add(layer)
  }
  return graph
}

/** A folder below `src`, or a file beside those. */
const layerOf = (file: string): string => file.split(sep)[0] ?? file

/** Each import from layer to layer that leads back to where it comes from. */
const circlesIn = (graph: Graph): string[] =>
  [...graph].flatMap(([from, known]) =>
    [...known].filter((to) => reachOf(graph, to).has(from)).map((to) => `${from} -> ${to}`),
  )

const reachOf = (graph: Graph, from: string): Set<string> => {
  const reached = new Set<string>()
  const open = [from]
  for (let layer = open.pop(); layer !== undefined; layer = open.pop()) {
    for (const next of graph.get(layer) ?? []) {
      if (reached.has(next)) continue
      reached.add(next)
      open.push(next)
    }
  }
  return reached
}

/** The files of a package, with the others of it that each imports; tests import from wherever they like. */
const sourcesOf = (folder: string): Record<string, string[]> => {
  const base = join(root, folder)
  const files = globSync('**/*.ts', { cwd: base, exclude: ['**/*.test.ts'] })
  return Object.fromEntries(files.map((file) => [file, importsOf(base, file)]))
}

const importsOf = (base: string, file: string): string[] => {
  const text = readFileSync(join(base, file), 'utf8')
  const specifiers = [...text.matchAll(/\b(?:from|import\()\s*'(\.[^']+)'/g)].map(([, specifier = '']) => specifier)
  return specifiers
    .map((specifier) => relative(base, join(base, dirname(file), specifier)))
    .filter((target) => !target.startsWith('..'))
}

test.each(packages)('no folder of %s imports one that knows of it', (folder) => {
  const sources = sourcesOf(folder)
  expect(Object.keys(sources).length).toBeGreaterThan(0)
  expect(circlesIn(graphOf(sources))).toEqual([])
})

test('there are layers to look at', () => {
  const graph = graphOf(sourcesOf(join('lib', 'workflow', 'src')))
  expect(graph.get('worker')).toContain('job')
  expect(reachOf(graph, 'worker')).toContain('model')
})

test('a circle is seen, however long', () => {
  const files = { 'a/one.ts': ['b/two.ts'], 'b/two.ts': ['c/three.ts'], 'c/three.ts': ['a/four.ts'], 'a/four.ts': [] }
  expect(circlesIn(graphOf(files))).toEqual(['a -> b', 'b -> c', 'c -> a'])
  expect(circlesIn(graphOf({ ...files, 'c/three.ts': ['d/five.ts'] }))).toEqual([])
})
