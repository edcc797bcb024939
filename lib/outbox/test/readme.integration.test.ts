import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import { pack } from '@esteira/dev/pack'
import { createEmptyProject, createVhost, type EmptyProject, emptyDatabase } from '@esteira/test/support'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'

const library = join(import.meta.dirname, '..')
const readme = await readFile(join(library, 'README.md'), 'utf8')

/** The README's programs, by the name in their first line. */
const programs = new Map(
  [...readme.matchAll(/^```ts\n\/\/ (\S+)\n(.*?)^```$/gms)].map(([, name = '', text = '']) => [name, text]),
)

/** The packages that each of the README's commands installs. */
const installs = [...readme.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands = '']) =>
  commands.split(/\s+/).filter((word) => !['', 'npm', 'install', '--save-dev'].includes(word)),
)

/** Those that the README's first command is enough for. */
const withPgAlone = ['migrate.ts', 'order.ts', 'order-many.ts', 'relay.ts', 'parked.ts']

/** What the compiler asks of nobody who has not chosen it, and some choose. */
const strictest = ['noPropertyAccessFromIndexSignature', 'noImplicitReturns', 'noImplicitOverride', 'noUnusedLocals']
  .concat(['noUnusedParameters', 'noUncheckedIndexedAccess', 'exactOptionalPropertyTypes'])
  .flatMap((option) => [`--${option}`, 'true'])

const soon = { timeout: 30_000, interval: 50 }

let folder: string
let tarball: string
let project: EmptyProject
let database: Awaited<ReturnType<typeof emptyDatabase>>
let vhost: Awaited<ReturnType<typeof createVhost>>
let db: pg.Client
let env: NodeJS.ProcessEnv

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'outbox-package-'))
  ;[tarball, project, database, vhost] = await Promise.all([
    pack(['lib/outbox'], folder).then(([one = '']) => one),
    createEmptyProject(),
    emptyDatabase(),
    createVhost(),
  ])
  db = new pg.Client(database.url)
  await db.connect()
  env = { ...process.env, DATABASE_URL: database.url, RABBITMQ_URL: vhost.url }
})
afterAll(async () => {
  await project.remove()
  await db.end()
  await Promise.all([database.drop(), vhost.drop(), rm(folder, { recursive: true })])
})

test('the programs of the README, with nothing installed that it does not name, carry each message once', async () => {
  expect(programs.size, 'programs with a name').toBe(readme.match(/^```ts$/gm)?.length)
  const others = [...programs.keys()].filter((name) => !withPgAlone.includes(name))
  const [first = [], ...more] = installs
  await install(first)
  expect(existsSync(project.folderOf('@mikro-orm'))).toBe(false)
  const packed = await readdir(project.folderOf('@esteira/outbox'), { recursive: true })
  const beside = ['LICENSE', 'README.md', 'dist', 'migrations', 'package.json']
  expect(packed.filter((file) => !file.includes(sep)).toSorted()).toEqual(beside)
  expect(packed.filter((file) => file.includes('.test.'))).toEqual([])
  expect(existsSync(project.folderOf('@esteira/outbox/node_modules/pg')), 'a pg beside that of the project').toBe(false)

  await write(withPgAlone)
  await project.write('undefined.ts', takersOfUndefined)
  expect(await project.typeFaults()).toBe('')
  await project.initTypes()
  expect(await project.typeFaults('--skipLibCheck', 'false', ...strictest)).toBe('')
  expect(await project.run('migrate.ts', env)).toContain('0001_outbox')
  await project.run('order.ts', env)
  await project.run('order-many.ts', env)
  await project.write('required.cjs', requirer)
  expect(await project.run('required.cjs', env)).toContain('function function')

  await install(more.flat())
  await write(others)
  // The options that the compiler writes skip the types of packages. Drizzle's name the drivers of every database.
  expect(await project.typeFaults(...strictest)).toBe('')
  for (const program of others.filter((name) => name.startsWith('order-'))) await project.run(program, env)

  const consumer = project.start('consume.ts', env)
  const relay = project.start('relay.ts', env)
  await expect.poll(shipped, soon).toEqual([1, 2, 3, 4, 5, 101, 102, 103])

  await db.query(parkedMessage('purchases', 104))
  await db.query(parkedMessage('nobody', 105))
  expect(await project.run('parked.ts', env)).toMatch(
    /1 attempts: no queue takes it\n.*1 attempts: no queue takes it\n/,
  )
  await expect.poll(shipped, soon).toEqual([1, 2, 3, 4, 5, 101, 102, 103, 104])

  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(0)
  expect(confirmedBy(relay.lines)).toBe(9)
  expect(await rowsOf('outbox_message')).toBe(0)
  expect(await rowsOf('outbox_parked')).toBe(0)
  expect(consumer.lines).toEqual([])
}, 300_000)

test.each([
  ['code of an error', 'src/errors.ts', /^ {2}\| '(\w+)'/gm],
  ['kind of an observation', 'src/relay/observation.ts', /kind: '([\w.-]+)'/g],
  ['option of a relay', 'src/relay/options.ts', /^ {2}(\w+)\??: .*$/gm],
  ['member of a message', 'src/enqueue/message.ts', /^ {2}(\w+)\?: .*$/gm],
])('the README knows every %s', async (_, file, pattern) => {
  const names = [...(await readFile(join(library, file), 'utf8')).matchAll(pattern)].map(([, name]) => name)
  expect(names.length).toBeGreaterThan(4)
  expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(readme))).toEqual([])
})

/** By exact types of optional members, whoever has a value or none passes `undefined` only where it is allowed. */
const takersOfUndefined = `
import type { enqueue, EnqueueOptions, listParked, OutboxMessage, pruneInbox } from '@esteira/outbox'
import type { Relay, RelayOptions } from '@esteira/outbox/relay'

type Loose<Given> = { [Key in keyof Given]: {} extends Pick<Given, Key> ? undefined : Given[Key] }
type Last<Listed extends readonly unknown[]> = Required<Listed> extends [...unknown[], infer One] ? One : never

export const message = (given: Loose<OutboxMessage>): OutboxMessage => given
export const write = (given: Loose<EnqueueOptions>): Last<Parameters<typeof enqueue>> => given
export const options = (given: Loose<RelayOptions>): RelayOptions => given
export const start = (given: { signal: undefined }): Last<Parameters<Relay['start']>> => given
export const list = (given: { limit: undefined; after: undefined }): Last<Parameters<typeof listParked>> => given
export const prune = (given: { olderThanMs: 1; limit: undefined }): Last<Parameters<typeof pruneInbox>> => given
`

const requirer = `
const { enqueue } = require('@esteira/outbox')
const { createRelay } = require('@esteira/outbox/relay')
console.log(typeof enqueue, typeof createRelay)
`

/** Not those of this repository's own dependencies. */
const versions: Record<string, string> = {
  'drizzle-orm': '0.45.4',
  typeorm: '1.1.1',
  // A stranger's is newer than the one of this repository.
  pg: '8.23.1',
}

const install = async (names: readonly string[]) =>
  project.install(await Promise.all(names.map(async (name) => (name === '@esteira/outbox' ? tarball : pinned(name)))))

const pinned = async (name: string): Promise<string> => {
  if (versions[name] !== undefined) return `${name}@${versions[name]}`
  const text = await readFile(join(library, '../../node_modules', name, 'package.json'), 'utf8')
  return `${name}@${JSON.parse(text).version}`
}

const write = (names: readonly string[]) =>
  Promise.all(names.map((name) => project.write(name, programs.get(name) ?? '')))

const shipped = async (): Promise<number[]> => {
  const { rows } = await db.query<{ id: number }>('select purchase_id as id from shipment order by id')
  return rows.map(({ id }) => id)
}

const rowsOf = async (table: string): Promise<number | null> => (await db.query(`select from ${table}`)).rowCount

const parkedMessage = (routingKey: string, purchaseId: number) => `
  insert into outbox_parked
    (lane, id, message_id, exchange, routing_key, headers, payload, created_at, reason, attempts)
  values (1, ${purchaseId}, gen_random_uuid(), '', '${routingKey}', '{}', '{"purchaseId": ${purchaseId}}', now(),
    'no queue takes it', 1)`

/** How many publishes RabbitMQ confirmed, by the relay's own words. */
const confirmedBy = (lines: readonly string[]): number =>
  lines.reduce((sum, line) => sum + Number(JSON.parse(line).confirmed ?? 0), 0)
