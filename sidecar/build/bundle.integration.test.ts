import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { enqueue, registerLane } from '@esteira/outbox'
import { cloneDatabase, createVhost } from '@esteira/test/support'
import amqplib from 'amqplib'
import pg from 'pg'
import { expect, test } from 'vitest'
import { startSidecar } from '../test/start-sidecar.ts'
import { bundleRelay } from './bundle.ts'

const soon = { timeout: 15_000, interval: 20 }

test('the bundled relay needs nothing beside its file: it owns a lane, hears the bell, publishes and ends', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'esteira-relay-'))
  const program = join(folder, 'main.js')
  const [database, vhost] = await Promise.all([cloneDatabase(), createVhost(), bundleRelay(program)])
  const db = new pg.Client(database.url)
  await db.connect()
  const amqp = await amqplib.connect(vhost.url)
  try {
    const channel = await amqp.createChannel()
    await channel.assertQueue('bundled')
    const env = { DATABASE_URL: database.url, RABBITMQ_URL: vhost.url, ESTEIRA_LANE: 'bundled' }
    // A poll far beyond the test: what goes out was rung for.
    const relay = startSidecar({ ...env, ESTEIRA_RELAY_POLL_MS: '600000' }, program)
    await expect.poll(() => relay.saw('ready').length, soon).toBe(1)
    const lane = await registerLane(db, 'bundled')
    const message = { routingKey: 'bundled', payload: { of: 'the bundle' } }
    for (let round = 1; round <= 3; round += 1) {
      await db.query('begin')
      await enqueue(db, message, { lane })
      await db.query('commit')
      await expect.poll(async () => (await channel.checkQueue('bundled')).messageCount, soon).toBe(round)
    }
    relay.child.kill('SIGTERM')
    expect(await relay.exited).toBe(0)
    expect(relay.faults).toEqual([])
  } finally {
    await amqp.close()
    await db.end()
    await Promise.all([database.drop(), vhost.drop(), rm(folder, { recursive: true })])
  }
})
