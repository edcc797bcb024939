import { join } from 'node:path'
import { meansOfRun } from '../../test/cluster/setup/means.ts'
import { debianPrograms } from '../../test/cluster/tools/debian-programs.ts'
import { imagesFolder } from '../folder.ts'
import { type Buildah, buildah, buildImages, type BuiltImage } from '../index.ts'

/** Where tests keep what they build: what has not changed is there the next time. */
export const folder = join(imagesFolder, 'tests')

/** Both images of this tree as tests have them, and what built them. */
export type TestImages = { engine: Buildah; build: () => Promise<BuiltImage[]> }

/** Builds on a base of this machine with buildah, which is installed where it is missing; a tree is built once. */
export const testImages = async (): Promise<TestImages> => {
  const means = meansOfRun()
  const programOf = await debianPrograms(means, { buildah: 'buildah' })
  const engine = buildah(join(folder, 'buildah'), means.env, programOf('buildah'))
  return { engine, build: () => buildImages({ engine, folder, prefix: 'localhost/', tag: 'test', base: 'own' }) }
}
