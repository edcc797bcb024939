import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Means } from './cache.ts'
import { startGoProxy } from './fixtures/go-proxy.ts'
import { goPrograms, type GoPrograms } from './go-programs.ts'

let folder: string
let told: string[]

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'esteira-go-')))
  for (const name of ['bin', 'module']) mkdirSync(join(folder, name))
  writeFileSync(join(folder, 'module/go.mod'), 'module x\n\ngo 1.24.0\n')
  told = []
})

afterEach(() => rmSync(folder, { recursive: true }))

const means = (): Means => ({
  cache: join(folder, 'cache'),
  env: { PATH: `${join(folder, 'bin')}:/usr/bin:/bin` },
  tell: (line) => told.push(line),
})

const programs = (change: Partial<GoPrograms> = {}): GoPrograms => ({
  name: 'tool',
  version: '1',
  module: join(folder, 'module'),
  packages: ['.'],
  linkerFlags: '-s',
  ...change,
})

/** A Go of that version, which builds by doing `build` in the folder that it is to fill. */
const putGo = (version: string, build: string): void => {
  const file = join(folder, 'bin/go')
  const fill = `while [ "$1" != -o ]; do shift; done; cd "$2"; ${build}`
  writeFileSync(file, `#!/bin/sh\nif [ "$1" = env ]; then echo ${version}; else ${fill}; fi\n`)
  chmodSync(file, 0o755)
}

test('programs are built once, and anew when a file of their module is another', async () => {
  putGo('go1.26.8', 'echo built >> program')
  const first = await goPrograms(means(), programs())
  expect(readdirSync(first)).toEqual(['program'])
  expect(await goPrograms(means(), programs())).toBe(first)
  writeFileSync(join(folder, 'module/main.go'), 'package main')
  expect(await goPrograms(means(), programs())).not.toBe(first)
  expect(told).toHaveLength(2)
})

test('what was built needs no Go any more', async () => {
  putGo('go1.26.8', 'echo built > program')
  const built = await goPrograms(means(), programs())
  rmSync(join(folder, 'bin/go'))
  expect(await goPrograms({ ...means(), env: { PATH: '' } }, programs())).toBe(built)
})

test('a build that fails is told with the last words of Go, and nothing of it is kept', async () => {
  putGo('go1.26.8', 'echo half > program; echo checksum mismatch; exit 1')
  await expect(goPrograms(means(), programs())).rejects.toThrow(/ended with code 1:\n {2}checksum mismatch/)
  expect(readdirSync(join(folder, 'cache')).toSorted()).toEqual(['logs', 'turns'])
})

test.each([
  ['without a Go on the PATH', undefined],
  ['with one that is too old', 'go1.19.8'],
])('%s a release is fetched once, which builds', async (_title, old) => {
  if (old !== undefined) putGo(old, 'exit 1')
  const proxy = await startGoProxy(
    '#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho fetched $GOROOT > "$2/program"\n',
  )
  const env = { PATH: join(folder, 'bin'), GOROOT: '/of/another', GOPROXY: `${proxy.url}/has-it-not,${proxy.url},off` }
  const build = () => goPrograms({ ...means(), env }, programs(), proxy.release)
  expect(readFileSync(join(await build(), 'program'), 'utf8')).toBe('fetched\n')
  writeFileSync(join(folder, 'module/main.go'), 'package main')
  await build()
  expect(proxy.asked).toEqual([`/has-it-not${proxy.path}`, proxy.path])
})
