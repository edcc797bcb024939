import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { contentOf } from './content-of.ts'

let folder: string
let before: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'esteira-content-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'src'))
  writeFileSync(join(folder, 'src/main.ts'), 'main', { mode: 0o644 })
  writeFileSync(join(folder, 'src/other.ts'), 'other', { mode: 0o644 })
  symlinkSync('src/main.ts', join(folder, 'link'))
  before = contentOf([folder])
})

test('the same content has the same digest, wherever it lies and whenever it was written', () => {
  utimesSync(join(folder, 'src/main.ts'), 1, 1)
  expect(contentOf([folder])).toBe(before)
})

test.each<[string, () => void]>([
  ['another content', () => writeFileSync(join(folder, 'src/main.ts'), 'niam')],
  ['another name', () => writeFileSync(join(folder, 'src/more.ts'), '')],
  ['an empty folder', () => mkdirSync(join(folder, 'more'))],
  ['another mode', () => chmodSync(join(folder, 'src/main.ts'), 0o755)],
  [
    'another link',
    () => {
      rmSync(join(folder, 'link'))
      symlinkSync('src/other.ts', join(folder, 'link'))
    },
  ],
])('%s has another', (_, change) => {
  change()
  expect(contentOf([folder])).not.toBe(before)
})

test('what is added counts, part by part', () => {
  expect(contentOf([folder], ['ab', 'c'])).not.toBe(contentOf([folder], ['a', 'bc']))
})
