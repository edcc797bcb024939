import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll } from 'vitest'

/**
 * Bundles a program, once for a file of tests, into a folder with nothing of this repository around it. What it gives
 * tells the program's file to a test.
 */
export const bundleAlone = (bundle: (file: string) => Promise<void>): (() => string) => {
  let program = ''
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'esteira-bundle-'))
    program = join(folder, 'main.js')
    await bundle(program)
    return () => rm(folder, { recursive: true })
  })
  return () => program
}
