import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleProgram } from '@esteira/dev/bundle'
import type { Plugin } from 'rolldown'

const computedPath = `__dirname + '/reserved.js'`

/**
 * pg-format reads its list of reserved words from a path that it puts together, which a bundler cannot follow. What is
 * not found there any more would be missed at run time only.
 */
const reservedWords: Plugin = {
  name: 'reserved words',
  transform: {
    filter: { id: /pg-format\/lib\/index\.js$/ },
    handler: (code, _, { magicString }) => {
      if (magicString === undefined || !code.includes(computedPath)) throw new Error(`pg-format has no ${computedPath}`)
      magicString.replace(computedPath, `'./reserved.js'`)
      return { code: magicString }
    },
  },
}

/**
 * What a relay never runs: what Rascal loads for the expressions of bindings, of which it has none, with all of Unicode,
 * what logs in a browser, and what is for those who install libpq.
 */
const leftOut: Plugin = {
  name: 'left out',
  load: {
    filter: { id: /\/xregexp\/|\/debug\/src\/browser\.js$|\/pg\/lib\/native\// },
    handler: (id) => {
      const place = id.slice(id.lastIndexOf('node_modules'))
      return { code: `module.exports = () => { throw new Error('${place} is not in this bundle') }` }
    },
  },
}

/**
 * Rascal loads all of lodash, which is six of its MiB, and uses a tenth. Instead it gets the parts whose names its sources
 * have behind `_` or, since chains are written so, behind a call.
 */
const lodashByParts: Plugin = {
  name: 'lodash by its parts',
  load: {
    filter: { id: /\/lodash\/lodash\.js$/ },
    handler: (id) => {
      const used = namesInRascal()
      const parts = globSync('*.js', { cwd: dirname(id) }).map((file) => file.slice(0, -'.js'.length))
      const mixed = parts.filter((part) => used.has(part)).map((part) => `${part}: require('./${part}.js')`)
      return {
        code: `const lodash = require('./wrapperLodash.js')
          require('./mixin.js')(lodash, { ${mixed.join(', ')} })
          lodash.prototype.value = require('./wrapperValue.js')
          module.exports = lodash`,
      }
    },
  },
}

const namesInRascal = (): Set<string> => {
  const cwd = fileURLToPath(new URL('lib', import.meta.resolve('rascal')))
  const sources = globSync('**/*.js', { cwd }).map((file) => readFileSync(join(cwd, file), 'utf8'))
  return new Set(sources.flatMap((source) => source.match(/(?<=(\b_|\))\s*\.)\w+/g) ?? []))
}

/**
 * How the bundle is started where memory counts, by `node`'s options and the environment: what its start left behind is
 * collected, there is one arena of malloc's in place of eight, and large blocks go back when they are freed: glibc begins
 * with this threshold, and raises it with the first one. docs/performance.md has what each saves.
 */
export const smallProcess = {
  options: ['--expose-gc'],
  env: { MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: String(128 * 1024) },
}

/**
 * Bundles the relay's process, to be shipped where it is made or with another folder in the place of this repository. Of
 * what is in its `parts`, OpenTelemetry's SDK is larger than all the rest.
 */
export const bundleRelay = (file: string, shippedIn?: string): Promise<void> =>
  bundleProgram({
    input: join(import.meta.dirname, '../src/main.ts'),
    file,
    shippedIn,
    plugins: [reservedWords, leftOut, lodashByParts],
  })
