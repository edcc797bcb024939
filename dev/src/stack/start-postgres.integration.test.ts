import { chmodSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterEach, beforeEach, expect, inject, test, vi } from 'vitest'
import { z } from 'zod'
import { emptyDataFolder, openDataFolder } from './folder/data-folder.ts'
import { startPostgresAlone, startStack, type StackEvent } from './index.ts'

const env = { PATH: '/usr/bin:/bin' }
let dataDir: string
const events: StackEvent[] = []
const observe = (event: StackEvent) => void events.push(event)

beforeEach(() => {
  events.length = 0
  dataDir = realpathSync(mkdtempSync(join(tmpdir(), 'esteira-postgres-')))
  chmodSync(dataDir, 0o755)
})

afterEach(() => rmSync(dataDir, { recursive: true }))

const versionOf = async (url: string): Promise<unknown[]> => {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(`select current_setting('server_version_num')::int / 10000 as major`)).rows
  } finally {
    await client.end()
  }
}

test('Postgres alone comes up in a folder whose way is closed to others', async () => {
  // Root's home is such a folder, and Postgres runs as another user then.
  chmodSync(dataDir, 0o700)
  const inside = join(dataDir, 'data with a space')
  const stack = await startPostgresAlone({ dataDir: inside, env })
  expect(await versionOf(stack.postgres.url)).toEqual([{ major: 18 }])
  await stack.stop()
  const folder = await openDataFolder(inside, observe)
  emptyDataFolder(folder)
  folder.release()
})

test('a Postgres that is killed under long queries is started once more, and no oftener', async () => {
  const stack = await startPostgresAlone({ dataDir, env, observe })
  const clients = Array.from({ length: 10 }, () => new Client({ connectionString: stack.postgres.url }))
  for (const client of clients) {
    client.on('error', () => undefined)
    await client.connect()
    // One that only waits would notice that the server is gone, and end by itself.
    client.query('select count(*) from generate_series(1, 1e12)').catch(() => undefined)
  }
  const running = z.object({ processes: z.tuple([z.object({ pid: z.int() })]) })
  const [{ pid }] = running.parse(JSON.parse(readFileSync(join(dataDir, 'processes.json'), 'utf8'))).processes
  process.kill(pid, 'SIGKILL')
  await vi.waitFor(() => expect(events.filter(({ kind }) => kind === 'service.ready')).toHaveLength(2), 20_000)
  expect(events.filter(({ kind }) => kind === 'service.exited')).toHaveLength(1)
  await Promise.all(clients.map((client) => client.end()))
  await stack.stop()
})

test('a server that was given is used as it is', async () => {
  const { postgresUrl } = inject('stack')
  const stack = await startPostgresAlone({ dataDir, env, databaseUrl: postgresUrl, observe })
  expect(stack.postgres).toMatchObject({ source: 'given', url: postgresUrl })
  await stack.stop()
  expect(await versionOf(postgresUrl)).toEqual([{ major: 18 }])
})

test('servers that were given and are not there are named in one line, without their passwords', async () => {
  const { port, close } = await deafPort()
  const databaseUrl = `postgres://somebody:secret@127.0.0.1:${port}/postgres`
  const rabbitmqUrl = `amqp://somebody:secret@127.0.0.1:${port}/`
  const failing = startStack({ dataDir, env, databaseUrl, rabbitmqUrl, observe })
  await expect(failing).rejects.toMatchObject({
    code: 'unreachable',
    message: expect.stringMatching(
      new RegExp(`^(postgres at postgres|rabbitmq at amqp)://somebody@127.0.0.1:${port}/\\S* does not answer: .+$`),
    ),
  })
  expect(JSON.stringify(events)).not.toContain('secret')
  expect(events.filter(({ kind }) => kind === 'service.unreachable').length).toBeGreaterThan(4)
  close()
})

test('a start that is given up leaves nothing running and the folder free', async () => {
  const giveUp = new AbortController()
  const starting = startPostgresAlone({
    dataDir,
    env,
    signal: giveUp.signal,
    observe: ({ kind }) => {
      if (kind === 'service.starting') giveUp.abort(new Error('given up'))
    },
  })
  await expect(starting).rejects.toThrow('given up')
  const folder = await openDataFolder(dataDir, observe)
  expect(events).toEqual([])
  folder.release()
})

/** A port where connections end at once, as those of a server that is starting do. */
const deafPort = async (): Promise<{ port: number; close: () => void }> => {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port')
  return { port: address.port, close: () => server.close() }
}
