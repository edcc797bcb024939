import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { startLateProxy } from '../../../test/late-proxy.ts'
import { startWay } from '../../../test/start-way.ts'
import { lane, useLane, vhost } from '../../../test/use-lane.ts'
import { listParked } from '../../parked/parked.ts'
import type { OutboxMessage } from '../../enqueue/message.ts'

useLane()

const patient = { timeout: 40_000, interval: 50 }

/** A queue beside that of the test, and a way to RabbitMQ on which nothing to it is confirmed. */
const startLate = async () => {
  const queue = `${lane.name} late`
  await lane.declareQueue(queue)
  const proxy = await startLateProxy(vhost.url, queue)
  onTestFinished(proxy.stop)
  const relay = (options: Parameters<typeof lane.relay>[0] = {}) =>
    lane.relay({ rabbitmqUrl: proxy.url, confirmDeadlineMs: 1_000, ...options })
  return { queue, proxy, relay }
}

const many = (count: number, to: string, key?: string): OutboxMessage[] =>
  Array.from({ length: count }, (_, n) => ({
    routingKey: to,
    payload: `${to} ${n}`,
    ...(key === undefined ? {} : { orderingKey: `${key} ${n}` }),
  }))

/** Since more may be out than once. */
const payloadsOf = (messages: readonly { payload?: unknown }[]): Set<string> =>
  new Set(messages.map(({ payload }) => String(payload)))

const rowsTo = async (queue: string): Promise<number> =>
  (await lane.db.query('select from outbox_message where routing_key = $1', [queue])).rowCount ?? 0

test.each([
  ['an own lane', undefined, false],
  ['lanes of keys', 'key', true],
])(
  'in %s a row that closes the channel is parked, and others go out, beside a queue that confirms nothing',
  async (_, key, adopt) => {
    const { queue, proxy, relay } = await startLate()
    const { saw, start } = relay({ adopt, refusedBackoff: { firstMs: 50, capMs: 50 }, parkAfter: 3 })
    await start()
    const late = many(30, queue, key === undefined ? key : 'late')
    await lane.commit(...late)
    await expect.poll(proxy.held, patient).toBeGreaterThan(29)
    const bad = { exchange: 'missing', routingKey: 'bad', payload: 'bad' }
    const good = many(500, lane.name, key)
    await lane.commit(key === undefined ? bad : { ...bad, orderingKey: 'bad' }, ...good)
    await expect.poll(() => rowsTo(lane.name), patient).toBe(0)
    await expect.poll(() => saw('relay.parked').length, patient).toBe(1)
    expect(await listParked(lane.db)).toEqual([expect.objectContaining({ routingKey: 'bad' })])
    expect(payloadsOf(await lane.take(lane.name))).toEqual(payloadsOf(good))
    proxy.end()
    await expect.poll(() => rowsTo(queue), patient).toBe(0)
    expect(payloadsOf(await lane.take(queue))).toEqual(payloadsOf(late))
    expect(await listParked(lane.db)).toHaveLength(1)
    await lane.db.query('delete from outbox_parked')
  },
  120_000,
)

test('keys whose queue confirms nothing leave room in the window for those behind them, and none of theirs is parked', async () => {
  const { queue, proxy, relay } = await startLate()
  const { saw, start } = relay({
    adopt: true,
    window: 20,
    parkAfter: 1,
    refusedBackoff: { firstMs: 100, capMs: 1_000 },
  })
  const late = many(400, queue, 'a')
  const good = many(100, lane.name, 'b')
  await lane.commit(...late, ...good)
  await start()
  await expect.poll(() => rowsTo(lane.name), patient).toBe(0)
  expect(await rowsTo(queue)).toBe(late.length)
  proxy.end()
  await expect.poll(() => rowsTo(queue), patient).toBe(0)
  expect(payloadsOf(await lane.take(queue))).toEqual(payloadsOf(late))
  expect(saw('relay.parked')).toEqual([])
}, 120_000)

test('a lane of keys is carried on by a relay that stops beside another one while a confirm of it is late', async () => {
  const { queue, proxy, relay } = await startLate()
  const first = relay({ adopt: true, confirmDeadlineMs: 60_000 })
  await first.start()
  await lane.commit({ routingKey: queue, payload: 'late', orderingKey: 'late' })
  await expect.poll(proxy.held, patient).toBe(1)
  const second = relay({ lane: `${lane.name} other`, adopt: true })
  await second.start()
  let isStopped = false
  const stopping = first.stop({ graceMs: 15_000 }).finally(() => {
    isStopped = true
  })
  for (let round = 1; round <= 3; round += 1) {
    // Twenty of each key, which go one after the other.
    await lane.commit(
      ...Array.from({ length: 400 }, (_, n) => ({ routingKey: lane.name, payload: n, orderingKey: `good ${n % 20}` })),
    )
    await waitFor(async () => (await rowsTo(lane.name)) === 0, { deadlineMs: 10_000 })
    expect(isStopped).toBe(false)
  }
  proxy.end()
  await stopping
  await second.stop({ graceMs: 0 })
}, 60_000)

test('a relay that stops says that what has no confirm is left, which nobody has refused', async () => {
  const { queue, proxy, relay } = await startLate()
  const { saw, start, stop } = relay({ refusedBackoff: { firstMs: 600_000, capMs: 600_000 } })
  await start()
  await lane.commit(...many(3, queue), { routingKey: `${lane.name} none`, payload: 'refused' })
  await expect.poll(() => saw('relay.batch'), patient).toContainEqual(expect.objectContaining({ unknown: 3 }))
  await stop({ graceMs: 20_000 })
  expect(saw('relay.stopped')).toMatchObject([{ emptied: false }])
  proxy.end()
}, 60_000)

test('lanes that are written to all the time are left to a neighbour though each confirm takes its time', async () => {
  const slow = await startWay(vhost.url, (client, broker) => {
    client.on('data', (bytes) => broker.write(bytes))
    broker.on('data', (bytes) => setTimeout(() => client.write(bytes), 300))
  })
  onTestFinished(slow.stop)
  const first = lane.relay({ rabbitmqUrl: slow.url, adopt: true })
  await first.start()
  let written = 0
  const over = { isStopped: false }
  onTestFinished(() => {
    over.isStopped = true
  })
  const write = async (): Promise<void> => {
    for (; !over.isStopped; written += 5) await lane.commit(...many(5, lane.name, `key ${written}`))
  }
  const writing = write()
  await waitFor(async () => (await lane.count(lane.name)) > 0, { deadlineMs: 20_000 })
  const second = lane.relay({ lane: `${lane.name} other`, adopt: true })
  await second.start()
  const stopping = first.stop({ graceMs: 120_000 }).finally(() => {
    over.isStopped = true
  })
  await waitFor(() => over.isStopped, { deadlineMs: 30_000 })
  await Promise.all([writing, stopping])
  expect(first.saw('relay.batch').filter((batch) => batch.kind === 'relay.batch' && batch.unknown > 0)).toEqual([])
  await expect.poll(() => rowsTo(lane.name), patient).toBe(0)
  expect(await lane.count(lane.name), 'none twice').toBe(written)
  await second.stop({ graceMs: 0 })
}, 150_000)
