import { once } from 'node:events'
import { connect } from 'node:net'
import { startProxy, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { database, lane, useLane } from '../../test/use-lane.ts'

useLane()

test('a relay that is stopped while it connects to Postgres says nothing after that it has stopped', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const said: string[] = []
  const relay = lane.relay({ databaseUrl: proxy.url, observe: ({ kind }) => said.push(kind) })
  await relay.start()
  proxy.cut()
  await waitFor(() => said.includes('database.unavailable') && proxy.connections() === 0)
  proxy.pause()
  await waitFor(() => proxy.connections() === 2, { describe: 'the control session and the bell to connect' })
  await relay.stop({ graceMs: 0 })
  expect(said.at(-1)).toBe('relay.stopped')
  // Connected after the relay was, so it hears of the break after the relay.
  const witness = connect(Number(new URL(proxy.url).port), '127.0.0.1')
  await waitFor(() => proxy.connections() > 0)
  proxy.cut()
  await Promise.all([once(witness, 'close'), waitFor(() => proxy.connections() === 0)])
  expect(said.at(-1)).toBe('relay.stopped')
})

const messagesFor = (queue: string) =>
  Array.from({ length: 300 }, (_, index) => ({ routingKey: queue, payload: index }))

test('a relay that is stopped as soon as it has started carries what its lane holds', async () => {
  await lane.commit(...messagesFor(lane.name))
  const relay = lane.relay()
  await relay.start()
  await relay.stop({ graceMs: 10_000 })
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await lane.rows()).toBe(0)
  expect(await lane.count(lane.name)).toBe(300)
})

test('one whose broker does not come in time leaves the rows, and does not say that its lane was emptied', async () => {
  await lane.commit(...messagesFor(lane.name))
  const relay = lane.relay({ rabbitmqUrl: 'amqp://127.0.0.1:9' })
  await relay.start()
  await relay.stop({ graceMs: 300 })
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: false }])
  expect(await lane.rows()).toBe(300)
})

test('a relay that waits for an open transaction before it may sleep stops at once', async () => {
  await lane.db.query('begin')
  await lane.db.query('select pg_current_xact_id()')
  const relay = lane.relay()
  await relay.start()
  const isAsleep = () => lane.db.query('select from outbox_bell where lane = $1 and asleep', [lane.id])
  await waitFor(async () => (await isAsleep()).rowCount === 1)
  await relay.stop({ graceMs: 20_000 })
  await lane.db.query('rollback')
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
})
