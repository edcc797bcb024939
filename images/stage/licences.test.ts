import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { bundledPackages, licencesOf } from './licences.ts'

let root: string

const write = (file: string, text: string): void => {
  mkdirSync(dirname(join(root, file)), { recursive: true })
  writeFileSync(join(root, file), text)
}

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'esteira-licences-')))
  onTestFinished(() => rmSync(root, { recursive: true }))
  const packageOf = (name: string, license?: string) => JSON.stringify({ name, version: '1.2.3', license })
  write('node_modules/a/package.json', packageOf('a', 'MIT'))
  write('node_modules/a/LICENSE.md', 'the words of a')
  write('node_modules/a/README.md', 'what a is for')
  write('node_modules/@of/b/package.json', packageOf('@of/b', 'ISC'))
  write('node_modules/@of/b/README.md', 'what b is for, and its licence')
})

test('the packages of a bundle are those that its maps name, its parts included', () => {
  const sources = ['node_modules/a/lib/x.js', 'node_modules/a/y.js', 'src/main.ts', null]
  write('dist/main.js.map', JSON.stringify({ sources }))
  write('dist/parts/sdk.js.map', JSON.stringify({ sources: ['../node_modules/@of/b/node_modules/c/index.js'] }))
  expect(bundledPackages(join(root, 'dist'))).toEqual(['node_modules/@of/b/node_modules/c', 'node_modules/a'])
})

test('each has its licence in the text, out of its README where it has no file for it', () => {
  const text = licencesOf(root, ['node_modules/@of/b', 'node_modules/a'])
  expect(text).toMatch(
    /^@of\/b 1\.2\.3 \(ISC\)\n\nwhat b is for, and its licence\n\n-+\n\na 1\.2\.3 \(MIT\)\n\nthe words of a\n$/,
  )
})
