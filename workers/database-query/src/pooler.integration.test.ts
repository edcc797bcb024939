import { randomUUID } from 'node:crypto'
import { connect, createServer } from 'node:net'
import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { callQuery } from '../test/call-query.ts'
import { admin, call, log, target, useTarget } from '../test/use-target.ts'
import { openConnections } from './connections.ts'
import { databaseQuery } from './database-query.ts'

useTarget('create table lead (id int)', {})

const ids = async () => (await admin.query<{ id: number }>('select id from lead order by id')).rows.map(({ id }) => id)

/** What PgBouncer says when it has no server for a client, or its server is gone. */
const poolerEnds = (message: string): Buffer => {
  const fields = Buffer.from(`SFATAL\0C08P01\0M${message}\0\0`)
  const head = Buffer.from('E\0\0\0\0')
  head.writeInt32BE(fields.length + 4, 1)
  return Buffer.concat([head, fields])
}

/** A pooler in front of the target. It ends a client that sends the words it is told; they do reach the server. */
const startPooler = async (message = 'server conn crashed?') => {
  let words: string | null = null
  const { port, hostname } = new URL(target.url)
  const pooler = createServer((client) => {
    const server = connect(Number(port), hostname)
    client.on('data', (bytes) => {
      server.write(bytes)
      if (words === null || !bytes.includes(words)) return
      server.unpipe(client)
      client.end(poolerEnds(message))
    })
    server.pipe(client)
    client.on('error', () => server.destroy()).on('close', () => server.end())
    server.on('error', () => client.destroy())
  })
  onTestFinished(() => void pooler.close())
  await new Promise<void>((resolve) => pooler.listen(0, '127.0.0.1', resolve))
  const address = pooler.address()
  if (address === null || typeof address === 'string') throw new Error('the pooler has no port')
  const url = new URL(target.url)
  url.port = String(address.port)
  return { url: url.href, endAt: (ofClient: string) => (words = ofClient) }
}

test.each([
  ['begins, the database is away', 'begin', 'the database is away: server conn crashed?', []],
  [
    'commits, the outcome is unknown',
    'commit\0',
    'the session was lost under the commit (server conn crashed?): whether that is done is not known; the ledger tells',
    [1],
  ],
])('where a pooler ends a session that %s, and the job waits', async (_, words, reason, written) => {
  const pooler = await startPooler()
  const connections = openConnections(new Map([['crm', pooler.url]]), log)
  onTestFinished(connections.close)
  await connections.ledger('crm')
  pooler.endAt(words)
  const jobId = randomUUID()
  const insert = { sql: 'insert into lead values (1) returning id' }
  const pooled = await callQuery(databaseQuery(connections), log, insert, { jobId })
  expect(pooled).toMatchObject({ delayMs: 5_000, reason: expect.stringContaining(reason) })
  await waitFor(async () => (await ids()).length === written.length)
  expect(await call(insert, { jobId })).toEqual([{ id: 1 }])
  expect(await ids()).toEqual([1])
})

test('a login that a pooler refuses fails the job, as one that the server refuses', async () => {
  const pooler = await startPooler('password authentication failed')
  pooler.endAt('user\0')
  const connections = openConnections(new Map([['crm', pooler.url]]), log)
  onTestFinished(connections.close)
  const insert = { sql: 'insert into lead values (1)' }
  await expect(callQuery(databaseQuery(connections), log, insert)).rejects.toMatchObject({
    final: true,
    message: 'config.connection: password authentication failed (SQLSTATE 08P01)',
  })
})
