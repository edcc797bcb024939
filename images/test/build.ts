import { join } from 'node:path'
import { meansOfRun } from '../../test/cluster/setup/means.ts'
import { debianPrograms } from '../../test/cluster/tools/debian-programs.ts'
import { imagesFolder } from '../folder.ts'
import { type Buildah, buildah, buildImages, type BuiltImage } from '../index.ts'

const folder = join(imagesFolder, 'tests')

/** Both images of this tree as tests have them, and what built them. */
export type TestImages = { engine: Buildah; build: () => Promise<BuiltImage[]> }

/** Builds with buildah, which is installed where it is missing, and in one place, so that a tree is built once. */
export const testImages = async (): Promise<TestImages> => {
  const means = meansOfRun()
  const programOf = await debianPrograms(means, { buildah: 'buildah' })
  const engine = buildah(join(folder, 'buildah'), means.env, programOf('buildah'))
  return { engine, build: () => buildImages({ engine, folder, prefix: 'localhost/', tag: 'test', base: 'own' }) }
}
