import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { meansOfRun } from '../../test/cluster/setup/means.ts'
import { debianPrograms } from '../../test/cluster/tools/debian-programs.ts'
import { imagesFolder } from '../folder.ts'
import { type Buildah, buildah, buildImages, type BuiltImage } from '../index.ts'
import type { Unpacked } from './container.ts'

/** Where the tests keep what they build: what has not changed is there the next time. */
export const folder = join(imagesFolder, 'tests')

export let programOf: (name: 'buildah' | 'runc') => string
export let engine: Buildah
export let built: BuiltImage[]
/** Both images as they lie on the disk. */
export let images: { esteira: Unpacked; relay: Unpacked }

/** Builds both images of this tree on a base of this machine, unless they are there. */
export const build = () => buildImages({ engine, folder, prefix: 'localhost/', tag: 'test', base: 'own' })

/** Gives a test file the images of this tree. */
export const useImages = (env: NodeJS.ProcessEnv): void => {
  const gone: (() => Promise<void>)[] = []
  const unpack = async (image = ''): Promise<Unpacked> => {
    const unpacked = await engine.unpack(image)
    gone.push(unpacked.gone)
    return { folder: unpacked.folder, config: await engine.configOf(image) }
  }
  beforeAll(async () => {
    programOf = await debianPrograms(meansOfRun(), { buildah: 'buildah', runc: 'runc' })
    engine = buildah(join(folder, 'buildah'), env, programOf('buildah'))
    built = await build()
    images = { esteira: await unpack(built[0]?.image), relay: await unpack(built[1]?.image) }
  }, 600_000)
  afterAll(async () => {
    for (const remove of gone) await remove()
  })
}
