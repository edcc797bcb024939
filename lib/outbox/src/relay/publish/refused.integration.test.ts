import { expect, test } from 'vitest'
import { lane, useLane } from '../../../test/use-lane.ts'

const soon = { timeout: 10_000, interval: 20 }

useLane()

const good = (payload: unknown) => ({ routingKey: lane.name, payload })

test('a row that no queue takes is refused and held back, and the others pass', async () => {
  const relay = lane.relay()
  await lane.commit(good(1), { routingKey: `${lane.name}.missing`, payload: 'waits' }, good(2))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 2, refused: 1, unknown: 0 })
  expect(relay.saw('relay.refused')).toMatchObject([{ count: 1, reason: 'no queue takes it', attempt: 1 }])
  await lane.commit(good(3))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1 })
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual([1, 2, 3])
  expect(await lane.rows()).toBe(1)
})

test('a row that was refused goes out by itself once its queue is there', async () => {
  const queue = `${lane.name}.missing`
  const relay = lane.relay({ pollMs: 600_000 })
  await relay.start()
  await lane.commit({ routingKey: queue, payload: 'waits' })
  await expect.poll(() => relay.saw('relay.refused').length, soon).toBe(1)
  await lane.declareQueue(queue)
  await expect.poll(() => lane.rows(), soon).toBe(0)
  expect((await lane.take(queue)).map(({ payload }) => payload)).toEqual(['waits'])
})

test('a refused row waits as long as the options say, and up to half of it less by chance', async () => {
  const relay = lane.relay({ refusedBackoff: { firstMs: 40_000, capMs: 50_000 } })
  await lane.commit({ routingKey: `${lane.name}.missing`, payload: 'waits' })
  expect(await relay.runOnce()).toMatchObject({ refused: 1 })
  const isAsGiven = expect.toSatisfy((ms: number) => ms >= 20_000 && ms <= 40_000)
  expect(relay.saw('relay.refused')).toMatchObject([{ retryInMs: isAsGiven }])
})

test('rows that are held back do not fill a batch', async () => {
  // One row at a time.
  const relay = lane.relay({ window: 4, refusedBackoff: { firstMs: 600_000, capMs: 600_000 } })
  await lane.commit(...[1, 2, 3, 4, 5].map((payload) => ({ routingKey: `${lane.name}.missing.${payload}`, payload })))
  expect(await relay.runOnce()).toMatchObject({ refused: 5 })
  await lane.commit(good(6))
  expect(await relay.runOnce()).toMatchObject({ read: 1, confirmed: 1 })
})

test('rows that are refused for their own sake do not hold up others to their destination', async () => {
  const relay = lane.relay({ refusedBackoff: { firstMs: 600_000, capMs: 600_000 } })
  // One that cannot be written, and one that RabbitMQ closes the channel over: it takes a list there only.
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, headers, payload)
     select $1, gen_random_uuid(), $2, json_build_object(header, 'any'), '"bad"' from unnest($3::text[]) as header`,
    [lane.id, lane.name, ['k'.repeat(256), 'CC']],
  )
  expect(await relay.runOnce()).toMatchObject({ refused: 2 })
  expect(relay.saw('broker.channel-closed')[0]).toMatchObject({
    reason: expect.stringContaining('PRECONDITION_FAILED'),
  })
  await lane.commit(good(1))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1 })
})

test('refusals are counted by one relay: the next one begins anew', async () => {
  const options = { parkAfter: 2, refusedBackoff: { firstMs: 1, capMs: 1 } }
  const first = lane.relay(options)
  await lane.commit({ exchange: 'amq.topic', routingKey: 'nobody', payload: 'waits' })
  await first.runOnce()
  await first.stop({ graceMs: 0 })
  const second = lane.relay(options)
  await second.runOnce()
  expect(second.saw('relay.refused')).toMatchObject([{ attempt: 1 }])
  expect(await lane.rows()).toBe(1)
  await expect.poll(async () => (await second.runOnce()).kind === 'done' && lane.rows(), soon).toBe(0)
  expect(second.saw('relay.parked')).toHaveLength(1)
})

test('a message for a queue that is not there is never parked', async () => {
  const relay = lane.relay({ parkAfter: 1, refusedBackoff: { firstMs: 10, capMs: 10 } })
  await lane.commit({ routingKey: `${lane.name}.missing`, payload: 'waits' })
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    await expect.poll(() => relay.runOnce(), soon).toMatchObject({ refused: 1 })
  }
  expect(relay.saw('relay.parked')).toEqual([])
  expect(await lane.rows()).toBe(1)
})

test.each([
  ['a queue without a name', '', ''],
  ['a queue that RabbitMQ named and that is gone', '', 'amq.gen-JzTY20BRgKO-HjmUJj0wLg'],
  ['an exchange of a reserved name that is not there', 'amq.missing', 'any'],
])('a message to what nobody can declare is parked: %s', async (_, exchange, routingKey) => {
  const relay = lane.relay({ parkAfter: 3, refusedBackoff: { firstMs: 10, capMs: 10 } })
  await lane.commit({ exchange, routingKey, payload: 'lost' }, good(1))
  const parked = async () => {
    await relay.runOnce()
    return relay.saw('relay.parked').length
  }
  await expect.poll(parked, soon).toBe(1)
  expect(await lane.rows()).toBe(0)
  expect(await lane.count(lane.name)).toBe(1)
})

test('a row that a full queue turns away is refused, and goes out when there is room', async () => {
  const queue = `${lane.name}.full`
  const full = { 'x-max-length': 1, 'x-overflow': 'reject-publish' }
  await lane.channel.assertQueue(queue, { durable: true, arguments: full })
  const relay = lane.relay({ pollMs: 600_000 })
  await lane.commit({ routingKey: queue, payload: 1 }, { routingKey: queue, payload: 2 })
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1, refused: 1, unknown: 0 })
  expect(relay.saw('relay.refused')).toMatchObject([{ reason: 'message nacked' }])
  expect(await lane.take(queue)).toHaveLength(1)
  await expect.poll(() => relay.runOnce(), soon).toMatchObject({ confirmed: 1, refused: 0 })
  expect(await lane.rows()).toBe(0)
})

test('a row that cannot be encoded is refused, and the others pass', async () => {
  const relay = lane.relay()
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, payload) values ($1, gen_random_uuid(), repeat('k', 256), '1')`,
    [lane.id],
  )
  await lane.commit(good(1))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1, refused: 1, unknown: 0 })
  expect(relay.saw('broker.channel-closed')).toEqual([])
})
