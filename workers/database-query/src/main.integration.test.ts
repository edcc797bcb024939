import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import {
  certificateAuthority,
  cloneDatabase,
  createVhost,
  openBroker,
  runOn,
  startTlsFront,
  type TestDatabase,
  type TestVhost,
  waitFor,
} from '@esteira/test/support'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'

let database: TestDatabase
let vhost: TestVhost

beforeAll(async () => {
  ;[database, vhost] = await Promise.all([cloneDatabase(), createVhost()])
})

afterAll(() => Promise.all([database.drop(), vhost.drop()]))

/** The worker as a process, with what it said. */
const startProgram = (env: Record<string, string>) => {
  const program = spawn(process.execPath, [fileURLToPath(new URL('main.ts', import.meta.url))], {
    env: { DATABASE_URL: database.url, RABBITMQ_URL: vhost.url, ESTEIRA_LANE: 'database-query', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [program.stdout, program.stderr]) stream.on('data', (bytes) => (said += String(bytes)))
  onTestFinished(() => {
    program.kill('SIGKILL')
  })
  return { program, said: () => said, ended: once(program, 'close').then(([code]: unknown[]) => code) }
}

test('the worker says what its function takes, declares its queue, and ends when it is asked to', async () => {
  const { program, said, ended } = startProgram({ ESTEIRA_CONNECTION_CRM: database.url })
  await waitFor(() => said().includes('"event":"ready"'), { describe: said, deadlineMs: 40_000 })
  expect(await runOn(database.url, `select name, config_schema ->> 'type' as type from workflow_function`)).toEqual([
    { name: 'Database.query', type: 'object' },
  ])
  const broker = await openBroker(vhost.url)
  expect(await broker.count('Database.query')).toBe(0)
  await broker.close()
  program.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 60_000)

test('the worker reaches Postgres and RabbitMQ by TLS alone', async () => {
  const fronts = [await startTlsFront(database.url), await startTlsFront(vhost.url)]
  onTestFinished(async () => {
    await Promise.all(fronts.map((front) => front.stop()))
  })
  const [postgres, rabbitmq] = fronts.map(({ url }) => url)
  const { program, said, ended } = startProgram({
    DATABASE_URL: `${postgres}?sslmode=verify-full&sslrootcert=${certificateAuthority}`,
    RABBITMQ_URL: rabbitmq ?? '',
    NODE_EXTRA_CA_CERTS: certificateAuthority,
  })
  await waitFor(() => said().includes('"event":"ready"'), { describe: said, deadlineMs: 40_000 })
  expect(fronts.map((front) => front.secured() > 0)).toEqual([true, true])
  program.kill('SIGTERM')
  expect(await ended).toBe(0)
}, 60_000)

test('a worker that waits for RabbitMQ says where, without the password, and ends when it is asked to', async () => {
  const { program, said, ended } = startProgram({ RABBITMQ_URL: 'amqp://app:s3cret@127.0.0.1:9/app' })
  await waitFor(() => said().includes('"attempt":2'), { describe: said, deadlineMs: 40_000 })
  program.kill('SIGTERM')
  expect(await ended).toBe(0)
  expect(said()).toContain('"address":"amqp://app@127.0.0.1:9/app"')
  expect(said()).not.toContain('s3cret')
}, 60_000)

test('every fault of the environment is one line, a connection that is no address without its value', async () => {
  const { said, ended } = startProgram({
    DATABASE_URL: 'nowhere',
    ESTEIRA_PREFETCH: '0',
    ESTEIRA_CONECTION_CRM: 'x',
    ESTEIRA_CONNECTION_CRM: 's3cret',
  })
  expect(await ended).toBe(2)
  expect(said().trim().split('\n')).toEqual([
    'ESTEIRA_CONECTION_CRM is not a variable of Esteira, did you mean "ESTEIRA_CONNECTION_CRM"?',
    expect.stringMatching(/^DATABASE_URL .*its value is not$/),
    expect.stringMatching(/^ESTEIRA_PREFETCH .*from 1 to 10000, "0" is not$/),
    expect.stringMatching(/^ESTEIRA_CONNECTION_CRM: expected an address such as .*, its value is not$/),
  ])
})
