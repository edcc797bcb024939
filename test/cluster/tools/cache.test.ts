import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runToEnd } from '@esteira/dev/processes'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cached, cacheFolder, type Entry } from './cache.ts'

let root: string
let made: number

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'esteira-cache-')))
  made = 0
})

afterEach(() => rmSync(root, { recursive: true }))

const entry = (change: Partial<Entry> = {}): Entry => ({
  name: 'tool',
  version: '1',
  key: ['flags'],
  make: async (folder) => {
    made += 1
    writeFileSync(join(folder, 'program'), String(made))
  },
  ...change,
})

test('an entry is made once, and is another one for another key', async () => {
  const folder = await cached(root, entry())
  expect(await cached(root, entry())).toBe(folder)
  expect(await cached(root, entry({ key: ['other flags'] }))).not.toBe(folder)
  expect(await cached(root, entry({ version: '2' }))).not.toBe(folder)
  expect(made).toBe(3)
})

test('two that want an entry at once make it once', async () => {
  const [one, two] = await Promise.all([cached(root, entry()), cached(root, entry())])
  expect([made, one === two]).toEqual([1, true])
})

test('two processes that want an entry at once make it once', async () => {
  const log = join(root, 'log')
  const env = { PATH: process.env['PATH'], ROOT: join(root, 'cache') }
  const maker = join(import.meta.dirname, 'fixtures/make-entry/main.ts')
  await Promise.all(['one', 'two', 'three'].map(() => runToEnd(process.execPath, [maker], { env, logFile: log })))
  const lines = readFileSync(log, 'utf8').trim().split('\n')
  expect(lines.toSorted()).toEqual(['has it', 'has it', 'has it', 'makes it'])
}, 60_000)

test('an entry whose making fails is not there, and the next one makes it', async () => {
  const make = async (folder: string) => {
    writeFileSync(join(folder, 'half'), '')
    throw new Error('the network is away')
  }
  await expect(cached(root, entry({ make }))).rejects.toThrow('the network is away')
  expect(readdirSync(root)).toEqual(['turns'])
  expect(existsSync(join(await cached(root, entry()), 'program'))).toBe(true)
})

test('what a maker left that was killed is thrown away', async () => {
  const folder = await cached(root, entry())
  renameSync(folder, `${folder}.making`)
  writeFileSync(join(`${folder}.making`, 'half'), '')
  expect(readdirSync(await cached(root, entry()))).toEqual(['program'])
})

test('tools lie outside the work tree, where the environment says or among the caches of the user', () => {
  expect(cacheFolder({ HOME: '/home/me' })).toBe('/home/me/.cache/esteira')
  expect(cacheFolder({ HOME: '/home/me', XDG_CACHE_HOME: '/caches' })).toBe('/caches/esteira')
  expect(cacheFolder({ HOME: '/home/me', ESTEIRA_TEST_CACHE: '/mine' })).toBe('/mine')
})
