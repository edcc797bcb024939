import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** Bundles a program, for one test, into a folder with nothing of this repository around it; resolves to its file. */
export const bundleAlone = async (bundle: (file: string) => Promise<void>): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'esteira-bundle-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const program = join(folder, 'main.js')
  await bundle(program)
  return program
}
