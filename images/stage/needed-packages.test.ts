import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { copyPackages, letAllRead } from './copy-packages.ts'
import { neededPackages } from './needed-packages.ts'

let root: string

const write = (file: string, text = ''): void => {
  mkdirSync(dirname(join(root, file)), { recursive: true })
  writeFileSync(join(root, file), text)
}

const writePackage = (folder: string, manifest: object = {}): void =>
  write(`${folder}/package.json`, JSON.stringify(manifest))

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'esteira-packages-')))
  onTestFinished(() => rmSync(root, { recursive: true }))
  writePackage('service', { dependencies: { '@own/lib': '1', b: '1' }, devDependencies: { tester: '1' } })
  writePackage('lib', {
    dependencies: { a: '1' },
    peerDependencies: { b: '1', c: '1' },
    peerDependenciesMeta: { c: { optional: true } },
  })
  mkdirSync(join(root, 'node_modules/@own'), { recursive: true })
  symlinkSync('../../lib', join(root, 'node_modules/@own/lib'))
  writePackage('node_modules/a', { dependencies: { b: '2', native: '1' }, optionalDependencies: { native: '1' } })
  writePackage('node_modules/a/node_modules/b')
  for (const name of ['b', 'c', 'tester']) writePackage(`node_modules/${name}`)
})

test('what a service needs is found as Node finds it, with the links to packages of ours', () => {
  const { packages, links } = neededPackages(root, ['service'])
  expect(packages.toSorted((x, y) => (x.folder < y.folder ? -1 : 1))).toEqual([
    { folder: 'lib', isOurs: true },
    { folder: 'node_modules/a', isOurs: false },
    { folder: 'node_modules/a/node_modules/b', isOurs: false },
    { folder: 'node_modules/b', isOurs: false },
    { folder: 'service', isOurs: true },
  ])
  expect([...links]).toEqual([['node_modules/@own/lib', 'lib']])
})

test('a package that is missing is told, with who needs it', () => {
  writePackage('service', { dependencies: { gone: '1' } })
  expect(() => neededPackages(root, ['service'])).toThrow('service needs gone, which is not installed')
})

test('of our packages the sources are copied, of others what Node runs and their licences, for everybody to read', () => {
  for (const file of ['src/main.ts', 'src/main.test.ts', 'sql/1.sql', 'test/use.ts', 'dist/main.js', 'README.md']) {
    write(`service/${file}`)
  }
  for (const file of ['index.js', 'index.d.ts', 'index.js.map', 'README.md', 'LICENSE.md', 'data/list.json']) {
    write(`node_modules/b/${file}`)
  }
  // Nothing else says what its licence is.
  write('node_modules/a/README.md')
  const into = join(root, 'copy')
  copyPackages(root, neededPackages(root, ['service']), into)
  letAllRead(into)
  expect(filesIn(join(into, 'service'))).toEqual(['package.json', 'sql/1.sql', 'src/main.ts'])
  expect(filesIn(join(into, 'node_modules/b'))).toEqual(['LICENSE.md', 'data/list.json', 'index.js', 'package.json'])
  expect(filesIn(join(into, 'node_modules/a'))).toEqual(['README.md', 'node_modules/b/package.json', 'package.json'])
  expect(readlinkSync(join(into, 'node_modules/@own/lib'))).toBe('../../lib')
  expect(filesIn(join(into, 'lib'))).toEqual(['package.json'])
})

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name).slice(folder.length + 1))
    .toSorted()
