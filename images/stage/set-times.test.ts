import { lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { setTimes } from './set-times.ts'

test('folders, files and links all have the time, and what a link leads to keeps its own', () => {
  const top = mkdtempSync(join(tmpdir(), 'esteira-times-'))
  onTestFinished(() => rmSync(top, { recursive: true }))
  const folder = join(top, 'context')
  mkdirSync(join(folder, 'src'), { recursive: true })
  writeFileSync(join(folder, 'src/main.ts'), '')
  writeFileSync(join(top, 'beside'), '')
  symlinkSync('../beside', join(folder, 'link'))
  setTimes(folder, 1_000)
  const paths = ['', 'src', 'src/main.ts', 'link']
  expect(paths.map((path) => lstatSync(join(folder, path)).mtimeMs)).toEqual(paths.map(() => 1_000_000))
  expect(lstatSync(join(top, 'beside')).mtimeMs).toBeGreaterThan(1_000_000)
})
