import { cloneDatabase, createVhost, runOn } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { openLane } from '../../test/lane-under-test.ts'

const soon = { timeout: 15_000, interval: 20 }

test('of a database that is restored to an older state, the relay publishes rows whose ids it has seen before', async () => {
  const [database, vhost] = await Promise.all([cloneDatabase(), createVhost()])
  onTestFinished(async () => {
    await Promise.all([database.drop(), vhost.drop()])
  })
  const name = new URL(database.url).pathname.slice(1)
  const server = new URL(database.url)
  server.pathname = '/postgres'
  await runOn(server.href, `create database ${name}_backup template ${name}`)

  const addresses = { databaseUrl: database.url, rabbitmqUrl: vhost.url }
  const before = await openLane('restored', addresses)
  before.db.on('error', () => undefined)
  await before.declareQueue('restored')
  const relay = before.relay({ pollMs: 500 })
  await relay.start()
  await before.commit(...Array.from({ length: 100 }, (_, index) => ({ routingKey: 'restored', payload: index })))
  await expect.poll(() => before.count('restored'), soon).toBe(100)
  await expect.poll(() => before.rows(), soon).toBe(0)

  await runOn(server.href, `drop database ${name} with (force)`, `alter database ${name}_backup rename to ${name}`)
  const after = await openLane('restored', addresses)
  onTestFinished(after.close)
  await after.commit({ routingKey: 'restored', payload: 'as new' })
  const { rows } = await after.db.query<{ id: string }>('select id from outbox_message')
  expect(Number(rows[0]?.id ?? 1), 'an id that the relay has passed').toBeLessThan(100)
  await expect.poll(() => after.count('restored'), soon).toBe(101)
  expect((await after.take('restored')).at(-1)).toMatchObject({ payload: 'as new' })
  await relay.stop({ graceMs: 1_000 })
  await before.close()
})
