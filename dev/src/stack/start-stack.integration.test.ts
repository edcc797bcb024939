import { chmodSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { reasonOf } from '@esteira/service'
import { openBroker, waitFor } from '@esteira/test/support'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { openRegistry, startProcess } from '../processes/index.ts'
import { sight } from '../processes/sighting.ts'
import { ensureDatabase, startStack, type Stack, type StackEvent } from './index.ts'

/** No variables of Docker and no addresses: what is tested here are the processes of this machine. */
const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }
const addresses = z.object({ postgres: z.string(), rabbitmq: z.string() })
const recorded = z.object({ processes: z.array(z.object({ name: z.string(), pid: z.number() })) })

let scratch: string
let stack: Stack
const events: StackEvent[] = []

const start = async (name: string, options: { fresh?: boolean } = {}): Promise<Stack> =>
  startStack({ dataDir: join(scratch, name), env, observe: (event) => events.push(event), ...options })

/** The processes that run in a data folder, by name. */
const pidsIn = (name: string): Record<string, number> => {
  const { processes } = recorded.parse(JSON.parse(readFileSync(join(scratch, name, 'processes.json'), 'utf8')))
  return Object.fromEntries(processes.map((process) => [process.name, process.pid]))
}

const kill = (name: string, process: string): void => {
  events.length = 0
  globalThis.process.kill(pidsIn(name)[process] ?? 0, 'SIGKILL')
}

const seen = (kind: StackEvent['kind'], deadlineMs = 25_000): Promise<StackEvent> =>
  waitFor(() => events.find((event) => event.kind === kind), { deadlineMs, describe: () => events })

const ask = async (url: string, query: string): Promise<unknown[]> => {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(query)).rows
  } finally {
    await client.end()
  }
}

/** What is in the queue of the tests, which stays there: the messages are put back. */
const queued = async (url: string): Promise<unknown[]> => {
  const broker = await openBroker(url)
  try {
    const messages = (await broker.takeAll('kept')).map(({ payload }) => payload)
    for (const payload of messages) await broker.publish('kept', payload)
    return messages
  } finally {
    await broker.close()
  }
}

beforeAll(async () => {
  scratch = realpathSync(mkdtempSync(join(tmpdir(), 'esteira-stack-')))
  // Open to the user whom Postgres runs as, so that all data is inside and goes with the folder.
  chmodSync(scratch, 0o755)
  stack = await start('first')
  const url = await ensureDatabase(stack.postgres.url, 'kept')
  await ask(url, 'create table kept as select 42 as answer')
  const broker = await openBroker(stack.rabbitmq.url)
  await broker.declareQueue('kept')
  await broker.publish('kept', 'a message')
  await broker.close()
})

afterAll(async () => {
  await stack.stop()
  rmSync(scratch, { recursive: true })
})

const keptRows = (): Promise<unknown[]> => ask(new URL('/kept', stack.postgres.url).href, 'select answer from kept')

test('a second start finds data, passwords and ports again', async () => {
  const before = { postgres: stack.postgres.url, rabbitmq: stack.rabbitmq.url }
  await stack.stop()
  expect(pidsIn('first')).toEqual({})
  stack = await start('first')
  expect({ postgres: stack.postgres.url, rabbitmq: stack.rabbitmq.url }).toEqual(before)
  expect(await keptRows()).toEqual([{ answer: 42 }])
  expect(await queued(stack.rabbitmq.url)).toEqual(['a message'])
})

test('a second start in a folder that is in use is refused and names the process', async () => {
  await expect(start('first')).rejects.toThrow(`is in use by process ${process.pid}; stop that one first`)
  expect(await keptRows()).toEqual([{ answer: 42 }])
})

test('a Postgres that is killed comes back with its data, on its port', async () => {
  kill('first', 'postgres')
  expect(await seen('service.exited')).toMatchObject({ service: 'postgres', exit: { signal: 'SIGKILL' } })
  await seen('service.ready')
  expect(await keptRows()).toEqual([{ answer: 42 }])
})

test.runIf(process.platform === 'linux')(
  'a query that outlives its Postgres does not keep it from coming back',
  async () => {
    const busy = new Client({ connectionString: stack.postgres.url })
    const broken = new Promise((resolve) => busy.once('error', resolve))
    await busy.connect()
    const { rows } = await busy.query<{ pid: number }>('select pg_backend_pid() as pid')
    const backend = rows[0]?.pid ?? 0
    // Some minutes of work that asks nobody whether the server is still there.
    const answer = busy.query('select count(*) from generate_series(1, 5000000000)').then(() => 'an answer', reasonOf)
    await waitFor(async () => (await activeBackends()).includes(backend))
    kill('first', 'postgres')
    await seen('service.ready')
    expect(sight(backend)).toBeUndefined()
    await broken
    expect(await answer).toMatch(/terminated/)
  },
)

const activeBackends = async (): Promise<number[]> =>
  z
    .array(z.object({ pid: z.number() }))
    .parse(await ask(stack.postgres.url, `select pid from pg_stat_activity where query like '%generate_series%'`))
    .map(({ pid }) => pid)

test('a RabbitMQ that is killed comes back with its messages, on its port', async () => {
  kill('first', 'rabbitmq')
  expect(await seen('service.exited')).toMatchObject({
    service: 'rabbitmq',
    part: 'rabbitmq',
    exit: { signal: 'SIGKILL' },
  })
  await seen('service.ready')
  expect(await queued(stack.rabbitmq.url)).toEqual(['a message'])
})

test('a port mapper that is killed comes back, and the broker goes on', async () => {
  const { epmd, rabbitmq } = pidsIn('first')
  kill('first', 'epmd')
  expect(await seen('service.exited')).toMatchObject({ service: 'rabbitmq', part: 'epmd' })
  await waitFor(() => pidsIn('first')['epmd'] !== undefined && pidsIn('first')['epmd'] !== epmd)
  expect(pidsIn('first')['rabbitmq']).toBe(rabbitmq)
  expect(await queued(stack.rabbitmq.url)).toEqual(['a message'])
})

test('a supervisor that is killed leaves its services, and the next start stops them and finds their data', async () => {
  const holder = startProcess({
    name: 'holder',
    script: fileURLToPath(new URL('./fixtures/hold-stack/main.ts', import.meta.url)),
    env: { ...env, DATA_DIR: join(scratch, 'second') },
    inherit: {},
    logFile: join(scratch, 'holder.log'),
    registry: openRegistry(join(scratch, 'holder.json'), scratch),
    observe: () => undefined,
    restart: false,
  })
  const held = addresses.parse(await holder.ready)
  // Two stacks side by side.
  expect(await keptRows()).toEqual([{ answer: 42 }])
  await ask(held.postgres, 'create table kept as select 43 as answer')
  const neighbours = pidsIn('first')
  const orphans = pidsIn('second')
  expect(Object.keys(orphans).toSorted()).toEqual(['epmd', 'postgres', 'rabbitmq'])

  holder.kill('SIGKILL')
  await holder.exited
  expect(Object.values(orphans).filter((pid) => sight(pid) === undefined)).toEqual([])
  events.length = 0
  const second = await start('second')
  const stopped = events.flatMap((event) => (event.kind === 'orphan.stopped' ? [[event.name, event.pid]] : []))
  expect(Object.fromEntries(stopped)).toEqual(orphans)
  expect({ postgres: second.postgres.url, rabbitmq: second.rabbitmq.url }).toEqual(held)
  expect(await ask(second.postgres.url, 'select answer from kept')).toEqual([{ answer: 43 }])
  await second.stop()
  expect(pidsIn('first')).toEqual(neighbours)
}, 90_000)

test('a fresh start begins with empty data', async () => {
  await stack.stop()
  stack = await start('first', { fresh: true })
  const names = await ask(stack.postgres.url, `select datname from pg_database where datname = 'kept'`)
  expect(names).toEqual([])
}, 90_000)
