import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { pack, publishedFolders } from './pack.ts'

const root = resolve(import.meta.dirname, '../../..')

const manifestSchema = z.object({
  name: z.string(),
  exports: z.record(z.string(), z.string()),
  types: z.string().optional(),
  keywords: z.array(z.string()).optional(),
  dependencies: z.record(z.string(), z.string()),
})

const mapSchema = z.object({ sources: z.tuple([z.string()]), sourcesContent: z.tuple([z.string()]) })

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'packages-'))
  const tarballs = await pack(publishedFolders, folder)
  for (const [index, tarball] of tarballs.entries()) {
    const unpacked = unpackedOf(publishedFolders[index] ?? '')
    mkdirSync(unpacked, { recursive: true })
    execFileSync('tar', ['-xzf', tarball, '-C', unpacked, '--strip-components=1'])
  }
}, 180_000)
afterAll(() => rm(folder, { recursive: true }))

const unpackedOf = (published: string): string => join(folder, 'unpacked', published)

const filesOf = (published: string, pattern: string): string[] =>
  globSync(pattern, { cwd: unpackedOf(published) }).map((file) => join(unpackedOf(published), file))

const manifestOf = (published: string) =>
  manifestSchema.parse(JSON.parse(readFileSync(join(unpackedOf(published), 'package.json'), 'utf8')))

test.each(publishedFolders)('%s has a file with types for each of its exports, and names the first', (published) => {
  const { exports, types } = manifestOf(published)
  const files = Object.values(exports).flatMap((file) => [file, file.replace(/\.js$/, '.d.ts')])
  expect(files.filter((file) => !file.startsWith('./dist/'))).toEqual([])
  expect(files.filter((file) => !existsSync(join(unpackedOf(published), file)))).toEqual([])
  if (types !== undefined) expect(types).toBe(exports['.']?.replace(/\.js$/, '.d.ts'))
})

test.each(publishedFolders)(
  'the maps of %s hold their sources, and name each where it would lie in the package',
  (published) => {
    const maps = filesOf(published, 'dist/**/*.map')
    expect(maps.length).toBeGreaterThan(0)
    for (const map of maps) {
      const { sources, sourcesContent } = mapSchema.parse(JSON.parse(readFileSync(map, 'utf8')))
      const inPackage = relative(unpackedOf(published), resolve(dirname(map), sources[0]))
      expect(inPackage).toMatch(published === 'migrations' ? /^\w+\.ts$/ : /^src\//)
      expect(sourcesContent[0]).toBe(readFileSync(join(root, published, inPackage), 'utf8'))
    }
  },
)

test.each(publishedFolders)('nothing in %s names a folder of the machine where it was packed', (published) => {
  const files = filesOf(published, '**/*.*')
  const naming = (path: string) => files.filter((file) => readFileSync(file, 'utf8').includes(path))
  expect(naming(root)).toEqual([])
  expect(naming('esteira-pack-')).toEqual([])
})

/** Runs npm in the package's folder, without what this run of npm has told its own processes. */
const npm = (published: string, ...words: readonly string[]) => {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_')))
  return spawnSync('npm', words, { cwd: join(root, published), env, encoding: 'utf8' })
}

test.each(
  publishedFolders.flatMap((published) => [
    { published, command: 'pack' },
    { published, command: 'publish' },
  ]),
)('npm $command alone makes nothing of $published, and says what does', ({ published, command }) => {
  const { status, stderr } = npm(published, command, '--dry-run')
  const { name } = manifestOf(published)
  expect(status).toBe(1)
  expect(stderr).toContain(`\`npm run pack -w ${name}\` makes the package here`)
})

test('that command makes it', async () => {
  const made = await mkdtemp(join(folder, 'made-'))
  const { status, stdout, stderr } = npm('.', 'run', 'pack', '-w', '@esteira/outbox', '--', made)
  expect(stderr).toBe('')
  expect(status).toBe(0)
  const [tarball = ''] = globSync('*.tgz', { cwd: made })
  expect(stdout).toContain(join(made, tarball))
  const files = execFileSync('tar', ['-tzf', join(made, tarball)], { encoding: 'utf8' })
  expect(files).toContain('package/dist/index.js\n')
})

test('of the outbox, all entries that are not internal are in its README, and it is found by what it is for', () => {
  const { exports, types, keywords } = manifestOf('lib/outbox')
  const readme = readFileSync(join(unpackedOf('lib/outbox'), 'README.md'), 'utf8')
  const entries = Object.keys(exports).filter((entry) => !entry.startsWith('./internal/'))
  expect(entries).toEqual(['.', './migrate', './relay'])
  expect(entries.filter((entry) => !readme.includes(`'@esteira/outbox${entry.slice(1)}'`))).toEqual([])
  expect(types).toBe('./dist/index.d.ts')
  expect(keywords).toEqual(expect.arrayContaining(['outbox', 'postgres', 'rabbitmq']))
})

test('the outbox takes any pg that is no older than its own, and of what it knows from inside only that version', () => {
  const { dependencies } = manifestOf('lib/outbox')
  expect(dependencies).toMatchObject({
    pg: expect.stringMatching(/^\^8\./),
    amqplib: expect.stringMatching(/^\d/),
    rascal: expect.stringMatching(/^\d/),
  })
})
