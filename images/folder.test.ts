import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { openDataFolder } from '@esteira/dev/stack'
import { expect, onTestFinished, test } from 'vitest'
import { imagesFolder } from './folder.ts'

test('images that were built leave a data folder which npm start takes', async () => {
  const tree = mkdtempSync(join(tmpdir(), 'esteira-images-'))
  onTestFinished(() => rmSync(tree, { recursive: true }))
  mkdirSync(join(tree, relative(resolve(import.meta.dirname, '..'), imagesFolder), 'buildah'), { recursive: true })
  const folder = await openDataFolder(join(tree, '.esteira'), () => undefined)
  expect(folder.path).toBe(join(tree, '.esteira'))
  folder.release()
})
