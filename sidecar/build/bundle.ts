import { join } from 'node:path'
import { type Plugin, rolldown } from 'rolldown'

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
 * What a relay never asks of Rascal, which loads it all the same: settings for tests, with a lodash of their own, and the
 * expressions of bindings, with all of Unicode. They are six of its MiB.
 */
const leftOut: Plugin = {
  name: 'left out',
  load: {
    filter: { id: /rascal\/lib\/config\/tests\.js$|\/xregexp\// },
    handler: (id) => ({
      code: `module.exports = () => { throw new Error(${JSON.stringify(`${nameOf(id)} is not in this bundle`)}) }`,
    }),
  },
}

const nameOf = (id: string): string => id.split('/node_modules/').at(-1) ?? id

/** Bundles the relay's process into one file, with its source map beside it. */
export const bundleRelay = async (file: string): Promise<void> => {
  const bundle = await rolldown({
    input: join(import.meta.dirname, '../src/main.ts'),
    platform: 'node',
    // Asked for by pg where somebody installed it; nobody here does.
    external: ['pg-native'],
    experimental: { nativeMagicString: true },
    plugins: [reservedWords, leftOut],
  })
  await bundle.write({ file, format: 'esm', minify: true, sourcemap: true, codeSplitting: false })
  await bundle.close()
}
