import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { inject } from 'vitest'
import { testImages } from '../../../images/test/build.ts'
import { importImage } from '../node/use-node.ts'
import { inTurn } from '../tools/cache.ts'

/** How the values of the charts name the images that `bringImages` gives the cluster. */
export type ImageValues = { repository: string; tag: string; pullPolicy: 'Never' | 'IfNotPresent' }

export const imageValues = (): ImageValues => {
  const ways = inject('ways')
  if (ways === null) return { repository: 'localhost/esteira', tag: 'test', pullPolicy: 'Never' }
  // Of each run another: a node keeps what it has pulled by that name.
  const tag = `test-${basename(inject('apiServer').folder)}`
  return { repository: `${ways.registry}esteira`, tag, pullPolicy: 'IfNotPresent' }
}

/**
 * Builds both images of this tree and gives them to the node, or to the registry of a cluster that is given, unless another
 * test of the run has done so.
 */
export const bringImages = (): Promise<void> => {
  const { folder } = inject('apiServer')
  const ways = inject('ways')
  const done = join(folder, 'has-images')
  return inTurn(folder, 'images', async () => {
    if (existsSync(done)) return
    const { engine, build } = await testImages()
    for (const { target, image } of await build()) {
      if (ways === null) {
        const archive = join(folder, `${target}.tar`)
        await engine.save(image, archive)
        await importImage(archive)
        rmSync(archive)
      } else {
        const name = `${ways.registry}${target}:${imageValues().tag}`
        await engine.push(image, { name, isPlain: ways.isPlain })
      }
    }
    writeFileSync(done, '')
  })
}
