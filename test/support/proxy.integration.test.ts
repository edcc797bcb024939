import { connect } from 'amqplib'
import { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  cloneDatabase,
  createVhost,
  openBroker,
  runOn,
  startProxy,
  waitFor,
  type Broker,
  type Proxy,
  type TestDatabase,
  type TestVhost,
} from './index.ts'

let database: TestDatabase
let vhost: TestVhost
let broker: Broker
let proxy: Proxy

beforeAll(async () => {
  ;[database, vhost] = await Promise.all([cloneDatabase(), createVhost()])
  broker = await openBroker(vhost.url)
  await broker.declareQueue('queue')
})

afterAll(async () => {
  await broker.close()
  await Promise.all([database.drop(), vhost.drop()])
})

beforeEach(async () => {
  proxy = await startProxy(vhost.url)
})

afterEach(() => proxy.stop())

test('a message whose confirm is dropped has arrived, and the publisher does not know', async () => {
  const connection = await connect(proxy.url)
  connection.on('error', () => undefined)
  const channel = await connection.createConfirmChannel()
  channel.on('error', () => undefined)
  const dropped = proxy.dropNextConfirm()
  channel.sendToQueue('queue', Buffer.from('"arrived"'))
  await expect(channel.waitForConfirms()).rejects.toThrow(/closed/i)
  await dropped
  expect((await broker.takeAll('queue')).map(({ payload }) => payload)).toEqual(['arrived'])
  const after = await openBroker(proxy.url)
  await after.publish('queue', 'and the way is free again')
  expect(await broker.takeAll('queue')).toHaveLength(1)
  await after.close()
})

test('what the server says is held back while the proxy is paused', async () => {
  const held = await openBroker(proxy.url)
  proxy.pause()
  const publishing = held.publish('queue', 'held').then(() => 'confirmed')
  // Opening the channel waits for the server, so nothing can have arrived.
  await expect(Promise.race([publishing, broker.count('queue')])).resolves.toBe(0)
  proxy.resume()
  expect(await publishing).toBe('confirmed')
  expect(await broker.takeAll('queue')).toHaveLength(1)
  await held.close()
})

test('neither side of a connection that was silenced hears the other one, nor of its end', async () => {
  const way = await startProxy(database.url)
  const client = new Client({ connectionString: way.url, application_name: 'silenced' })
  await client.connect()
  const isThere = async () =>
    (await runOn(way.url, `select from pg_stat_activity where application_name = 'silenced'`)).length === 1
  way.silence()
  const answer = client.query('select 42 as answer')
  expect(await isThere()).toBe(true)
  await runOn(
    database.url,
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'silenced' and state = 'idle'`,
  )
  await waitFor(async () => !(await isThere()))
  const ended = new Promise((resolve) => client.once('error', resolve))
  expect(await Promise.race([ended, isThere()])).toBe(false)
  way.resume()
  await expect(answer).rejects.toThrow(/terminat/)
  await ended
  await way.stop()
})

test('a way that is cut stays cut until it is opened again', async () => {
  const way = await startProxy(database.url)
  const client = new Client({ connectionString: way.url })
  await client.connect()
  const broken = new Promise((resolve) => client.once('error', resolve))
  way.cut()
  await broken
  await waitFor(() => way.connections() === 0)
  await expect(new Client({ connectionString: way.url }).connect()).rejects.toThrow(/terminated|ECONNRESET/)
  way.resume()
  const again = new Client({ connectionString: way.url })
  await again.connect()
  expect((await again.query('select 42 as answer')).rows).toEqual([{ answer: 42 }])
  await again.end()
  await way.stop()
})

// Other systems have of 127.0.0.0/8 the first address alone.
test.runIf(process.platform === 'linux')(
  'a proxy listens at the address that it is given, and nowhere else',
  async () => {
    const way = await startProxy(database.url, { host: '127.0.0.2' })
    expect(new URL(way.url).hostname).toBe('127.0.0.2')
    expect(await runOn(way.url, 'select 42 as answer')).toEqual([{ answer: 42 }])
    const elsewhere = new URL(way.url)
    elsewhere.hostname = '127.0.0.1'
    await expect(runOn(elsewhere.href, 'select 42')).rejects.toThrow('ECONNREFUSED')
    await way.stop()
  },
)
