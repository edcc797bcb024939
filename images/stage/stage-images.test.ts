import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { stageImages } from './stage-images.ts'

test('what goes into an image that is not built is not staged, and what was there before is gone', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'esteira-stage-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'of-an-earlier-tree'), '')
  await stageImages(folder, ['esteira-relay'])
  expect(readdirSync(folder)).toEqual(['esteira-relay'])
  expect(readdirSync(join(folder, 'esteira-relay'))).toEqual(
    expect.arrayContaining(['LICENSE', 'THIRD-PARTY-LICENSES', 'main.js']),
  )
}, 60_000)
