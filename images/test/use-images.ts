import { afterAll, beforeAll } from 'vitest'
import { meansOfRun } from '../../test/cluster/setup/means.ts'
import { debianPrograms } from '../../test/cluster/tools/debian-programs.ts'
import type { Buildah, BuiltImage } from '../index.ts'
import { testImages } from './build.ts'
import type { Unpacked } from './container.ts'

export let programOf: (name: 'buildah' | 'runc') => string
export let engine: Buildah
/** Builds both images of this tree, unless they are there. */
export let build: () => Promise<BuiltImage[]>
export let built: BuiltImage[]
/** Both images as they lie on the disk. */
export let images: { esteira: Unpacked; relay: Unpacked }

/** Gives a test file the images of this tree, and the programs that build and run them. */
export const useImages = (): void => {
  const gone: (() => Promise<void>)[] = []
  const unpack = async (image = ''): Promise<Unpacked> => {
    const unpacked = await engine.unpack(image)
    gone.push(unpacked.gone)
    return { folder: unpacked.folder, config: await engine.configOf(image) }
  }
  beforeAll(async () => {
    programOf = await debianPrograms(meansOfRun(), { buildah: 'buildah', runc: 'runc' })
    ;({ engine, build } = await testImages())
    built = await build()
    images = { esteira: await unpack(built[0]?.image), relay: await unpack(built[1]?.image) }
  }, 600_000)
  afterAll(async () => {
    for (const remove of gone) await remove()
  })
}
