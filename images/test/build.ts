import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { meansOfRun } from '../../test/cluster/setup/means.ts'
import { inTurn } from '../../test/cluster/tools/cache.ts'
import { debianPrograms } from '../../test/cluster/tools/debian-programs.ts'
import { imagesFolder } from '../folder.ts'
import { type Buildah, buildah, buildImages, type BuiltImage } from '../index.ts'

/** Where tests keep what they build: what has not changed is there the next time. */
export const folder = join(imagesFolder, 'tests')

/**
 * Builds with what is in that folder, one at a time: files of tests run beside each other, a build begins by clearing what
 * it stages, and ends by removing images without a name, which those of another are for a moment.
 */
export const alone = <T>(build: () => Promise<T>): Promise<T> => {
  mkdirSync(folder, { recursive: true })
  return inTurn(folder, 'build', build)
}

/** Both images of this tree as tests have them, and what built them. */
export type TestImages = { engine: Buildah; build: () => Promise<BuiltImage[]> }

/** Builds on a base of this machine with buildah, which is installed where it is missing; a tree is built once. */
export const testImages = async (): Promise<TestImages> => {
  const means = meansOfRun()
  const programOf = await debianPrograms(means, { buildah: 'buildah' })
  const engine = buildah(join(folder, 'buildah'), means.env, programOf('buildah'))
  const ofThisTree = { engine, folder, prefix: 'localhost/', tag: 'test', base: 'own' }
  return { engine, build: () => alone(() => buildImages(ofThisTree)) }
}
