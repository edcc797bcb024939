import {
  createVhost,
  emptyDatabase,
  runOn,
  startOwnPostgres,
  type TestDatabase,
  type TestVhost,
} from '@esteira/test/support'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { claimVhost } from './claim-vhost.ts'

let vhost: TestVhost
let database: TestDatabase
let other: TestDatabase
beforeAll(async () => {
  ;[vhost, database, other] = await Promise.all([createVhost(), emptyDatabase(), emptyDatabase()])
  await claimVhost({ url: vhost.url, source: 'given' }, database.url)
})
afterAll(() => Promise.all([vhost.drop(), database.drop(), other.drop()]))

test('a virtual host is found again by the database that it belongs to', async () => {
  await claimVhost({ url: vhost.url, source: 'given' }, database.url)
})

test.each([
  { source: 'given' as const, way: 'RABBITMQ_URL takes another virtual host' },
  { source: 'native' as const, way: '--data takes another folder' },
])('another database is told what to do instead when rabbitmq is $source', async ({ source, way }) => {
  const { username, password, host, pathname } = new URL(vhost.url)
  const refusal = claimVhost({ url: vhost.url, source }, other.url)
  await expect(refusal).rejects.toMatchObject({
    code: 'vhost_taken',
    message: expect.stringMatching(
      `^rabbitmq at amqp://${username}@${host}${pathname} is used by a house .*; ${way}, or`,
    ),
  })
  await expect(refusal).rejects.not.toMatchObject({ message: expect.stringContaining(password) })
})

test('a server of another house is told apart, though its database has the same name', async () => {
  const own = await startOwnPostgres()
  onTestFinished(own.drop)
  const namesake = new URL(own.url)
  namesake.pathname = new URL(database.url).pathname
  await runOn(own.url, `create database ${namesake.pathname.slice(1)}`)
  await expect(claimVhost({ url: vhost.url, source: 'given' }, namesake.href)).rejects.toMatchObject({
    code: 'vhost_taken',
  })
}, 60_000)

test('a virtual host that is not there is told', async () => {
  const url = `${vhost.url}-not`
  await expect(claimVhost({ url, source: 'given' }, database.url)).rejects.toMatchObject({
    code: 'unreachable',
    message: expect.stringMatching(/^rabbitmq at \S+-not refuses: /),
  })
})
