import { join } from 'node:path'
import { bundleProgram } from '@esteira/dev/bundle'

/**
 * How the bundle is started where memory counts, by `node`'s options: its youngest objects have 4 MiB in place of 32, twice.
 * docs/performance.md has what it saves.
 */
export const smallTick = ['--max-semi-space-size=4']

/**
 * Bundles the program of a tick, to be shipped where it is made or with another folder in the place of this repository:
 * from its sources it takes five times as long to load, and twice the memory.
 */
export const bundleTick = (file: string, shippedIn?: string): Promise<void> =>
  bundleProgram({ input: join(import.meta.dirname, '../src/main.ts'), file, shippedIn })
