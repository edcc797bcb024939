import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inject } from 'vitest'
import { testImages } from '../../../images/test/build.ts'
import { importImage } from '../node/use-node.ts'
import { inTurn } from '../tools/cache.ts'

/** How the values of the charts name the images that `importImages` gives the node. */
export const imageValues = { repository: 'localhost/esteira', tag: 'test', pullPolicy: 'Never' } as const

/** Builds both images of this tree and gives them to the node, unless another test of the run has done so. */
export const importImages = (): Promise<void> => {
  const { folder } = inject('apiServer')
  const done = join(folder, 'has-images')
  return inTurn(folder, 'images', async () => {
    if (existsSync(done)) return
    const { engine, build } = await testImages()
    for (const { target, image } of await build()) {
      const archive = join(folder, `${target}.tar`)
      await engine.save(image, archive)
      await importImage(archive)
      rmSync(archive)
    }
    writeFileSync(done, '')
  })
}
