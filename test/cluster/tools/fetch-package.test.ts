import { hash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runToEnd } from '@esteira/dev/processes'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cached } from './cache.ts'
import { fetchPackage } from './fetch-package.ts'

let root: string
let spec: string

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'esteira-fetch-')))
  spec = join(root, 'source')
  mkdirSync(spec)
  writeFileSync(join(spec, 'package.json'), JSON.stringify({ name: 'tool', version: '1.0.0' }))
  writeFileSync(join(spec, 'program'), 'works')
})

afterEach(() => rmSync(root, { recursive: true }))

const means = () => ({ env: process.env, logFile: join(root, 'log') })

/** Makes it anew each time it is not there. */
const fetch = (integrity: string): Promise<string> =>
  cached(join(root, 'cache'), {
    name: 'tool',
    version: '1',
    key: [],
    make: async (folder) => {
      await fetchPackage({ spec, integrity }, { ...means(), folder })
    },
  })

const rightIntegrity = async (): Promise<string> => {
  const folder = join(root, 'packed')
  mkdirSync(folder)
  await runToEnd('npm', ['pack', spec, '--pack-destination', folder], { ...means(), cwd: folder })
  return `sha512-${hash('sha512', readFileSync(join(folder, 'tool-1.0.0.tgz')), 'base64')}`
}

test('a package of the right checksum is unpacked', async () => {
  const folder = await fetch(await rightIntegrity())
  expect(readFileSync(join(folder, 'package/program'), 'utf8')).toBe('works')
}, 60_000)

test('a package of another checksum is refused, and nothing of it is kept', async () => {
  await expect(fetch('sha512-wrong')).rejects.toThrow(/has the checksum sha512-\S+== and should have sha512-wrong/)
  expect(readdirSync(join(root, 'cache'))).toEqual(['turns'])
}, 60_000)

test('a package that cannot be had is told with what npm said', async () => {
  rmSync(join(spec, 'package.json'))
  await expect(fetch('sha512-wrong')).rejects.toThrow(/npm pack [^]*ended with code \d+:\n[^]*package\.json/)
  expect(readdirSync(join(root, 'cache'))).toEqual(['turns'])
}, 60_000)
