import { basename, dirname, join, relative, resolve } from 'node:path'
import { type Plugin, rolldown } from 'rolldown'

type Program = {
  /** The source that is run. */
  input: string
  /** What is made of it. Two programs share no folder: the parts of one would be those of the other. */
  file: string
  /** What stands for the root of this repository where the bundle is shipped: its map names the sources from there. */
  shippedIn?: string | undefined
  plugins?: readonly Plugin[]
}

const repository = resolve(import.meta.dirname, '../..')

/**
 * Bundles a program into one file, with its source map beside it. What it imports only when that is asked for, such as
 * OpenTelemetry's SDK, is in files of its own in `parts`, beside it. Nothing else is needed but Node.
 */
export const bundleProgram = async ({ input, file, shippedIn = repository, plugins = [] }: Program): Promise<void> => {
  const bundle = await rolldown({
    input,
    platform: 'node',
    // Asked for by pg where somebody installed it; nobody here does.
    external: ['pg-native'],
    experimental: { nativeMagicString: true },
    plugins: [...plugins],
  })
  await bundle.write({
    dir: dirname(file),
    entryFileNames: basename(file),
    chunkFileNames: 'parts/[name].js',
    format: 'esm',
    minify: true,
    // A line of log says of which class an error is.
    keepNames: true,
    sourcemap: true,
    sourcemapPathTransform: (source, map) => {
      const folder = dirname(map)
      return relative(folder, join(shippedIn, relative(repository, resolve(folder, source))))
    },
  })
  await bundle.close()
}
