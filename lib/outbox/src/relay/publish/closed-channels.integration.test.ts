import { startProxy } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { lane, useLane, vhost } from '../../../test/use-lane.ts'

const soon = { timeout: 10_000, interval: 20 }

useLane()

const good = (payload: unknown) => ({ routingKey: lane.name, payload })

const bad = (exchange: string) => ({ exchange, routingKey: 'any', payload: 'bad' })

test('an exchange that is not there costs a channel a batch, whatever the routing keys, and opens once it is there', async () => {
  const exchange = `${lane.name} late`
  const relay = lane.relay({ window: 40, refusedBackoff: { firstMs: 1_000, capMs: 1_000 } })
  const lost = Array.from({ length: 100 }, (_, index) => ({ exchange, routingKey: `order.${index}`, payload: index }))
  await lane.commit(...lost, good('good'))
  const turns = [await relay.runOnce(), await relay.runOnce()]
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual(['good'])
  expect(turns.reduce((sum, turn) => sum + (turn.kind === 'done' ? turn.refused : 0), 0)).toBeLessThanOrEqual(40)
  // All in flight together close one, and so does the first row of each batch of them that is tried alone.
  expect(relay.saw('broker.channel-closed').length).toBeLessThan(10)
  await lane.channel.assertExchange(exchange, 'topic')
  await lane.channel.bindQueue(lane.name, exchange, 'order.*')
  const rowsLeft = async () => {
    await relay.runOnce()
    return lane.rows()
  }
  await expect.poll(rowsLeft, soon).toBe(0)
  expect(new Set((await lane.take(lane.name)).map(({ payload }) => payload)).size).toBe(100)
})

test('an exchange that may not be written to costs a channel a batch as well, whatever the routing keys', async () => {
  const exchange = `${lane.name} internal`
  await lane.channel.assertExchange(exchange, 'topic', { internal: true })
  const relay = lane.relay({ window: 40, refusedBackoff: { firstMs: 600_000, capMs: 600_000 } })
  const lost = Array.from({ length: 100 }, (_, index) => ({ exchange, routingKey: `order.${index}`, payload: index }))
  await lane.commit(...lost, good('good'))
  await relay.runOnce()
  await relay.runOnce()
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual(['good'])
  expect(relay.saw('relay.refused')[0]).toMatchObject({ reason: expect.stringContaining('ACCESS_REFUSED') })
  expect(relay.saw('broker.channel-closed').length).toBeLessThan(10)
})

test('a routing key that may not be written to does not close its exchange', async () => {
  const exchange = `${lane.name} guarded`
  await lane.channel.assertExchange(exchange, 'topic')
  await lane.channel.bindQueue(lane.name, exchange, '#')
  await vhost.permitTopics(exchange, '^public')
  const relay = lane.relay({ refusedBackoff: { firstMs: 600_000, capMs: 600_000 } })
  await lane.commit({ exchange, routingKey: 'secret', payload: 'refused' })
  expect(await relay.runOnce()).toMatchObject({ refused: 1 })
  await lane.commit({ exchange, routingKey: 'public', payload: 'good' })
  expect(await relay.runOnce()).toMatchObject({ read: 1, confirmed: 1 })
  expect(relay.saw('relay.refused')).toMatchObject([{ reason: expect.stringContaining("access to topic 'secret'") }])
})

test('one row for an exchange that is not there does not hold the good ones, and only it is held back', async () => {
  const relay = lane.relay()
  const numbers = Array.from({ length: 20 }, (_, index) => index)
  await lane.commit(...numbers.slice(0, 10).map(good), bad('missing'), ...numbers.slice(10).map(good))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 20, refused: 1, unknown: 0 })
  const taken = await lane.take(lane.name)
  expect(new Set(taken.map(({ payload }) => payload))).toEqual(new Set(numbers))
  // What was in flight with the bad row may have been out already; it goes at most twice, under the same id.
  expect(new Set(taken.map(({ messageId }) => messageId)).size).toBe(20)
  expect(taken.length).toBeLessThanOrEqual(40)
  expect(relay.saw('relay.refused')).toMatchObject([{ count: 1, exchange: 'missing', reason: /NOT_FOUND/ }])
  expect(await lane.rows()).toBe(1)
})

test('a row that closed the channel before goes alone, so the others are in flight once', async () => {
  const relay = lane.relay()
  await lane.commit(bad('missing'))
  expect(await relay.runOnce()).toMatchObject({ refused: 1 })
  const turnBesideGoodOnes = async () => {
    await lane.commit(...Array.from({ length: 20 }, (_, index) => good(index)))
    return relay.runOnce()
  }
  await expect.poll(turnBesideGoodOnes, soon).toMatchObject({ confirmed: 20, refused: 1 })
  const ids = (await lane.take(lane.name)).map(({ messageId }) => messageId)
  expect(new Set(ids).size).toBe(ids.length)
  // Each refusal cost one channel: the bad row's own.
  expect(relay.saw('broker.channel-closed')).toHaveLength(relay.saw('relay.refused').length)
})

test('a row that was refused before is out once more at most, when the channel is closed over another one beside it', async () => {
  const queue = `${lane.name} late`
  const relay = lane.relay({ refusedBackoff: { firstMs: 10, capMs: 10 } })
  await lane.commit({ routingKey: queue, payload: 'refused before' })
  expect(await relay.runOnce()).toMatchObject({ refused: 1 })
  await lane.declareQueue(queue)
  let confirmed = 0
  const turnBesideAnother = async () => {
    await lane.commit(bad(`missing ${crypto.randomUUID()}`))
    const turn = await relay.runOnce()
    if (turn.kind === 'done') confirmed += turn.confirmed
    return confirmed
  }
  await expect.poll(turnBesideAnother, soon).toBeGreaterThan(0)
  expect(confirmed).toBe(1)
  expect(await lane.count(queue)).toBeLessThanOrEqual(2)
})

test('several rows that close the channel are all found in one turn', async () => {
  const relay = lane.relay()
  await lane.commit(bad('missing.1'), good(1), bad('missing.2'), good(2), bad('missing.3'))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 2, refused: 3, unknown: 0 })
  expect(await lane.rows()).toBe(3)
})

test('suspects that the link leaves untried are not counted, and go out when it is back', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const batches: unknown[] = []
  const relay = lane.relay({
    rabbitmqUrl: proxy.url,
    observe: (observation) => {
      if (observation.kind === 'relay.batch') batches.push(observation)
      // The rows in flight with the bad one go one by one from now on: the first time they cannot.
      if (observation.kind === 'broker.channel-closed' && batches.length === 0) proxy.cut()
    },
  })
  await lane.commit(...[1, 2, 3].map(good), bad('missing'), ...[4, 5, 6].map(good))
  await Promise.allSettled([relay.runOnce()])
  const isNoLess = expect.toSatisfy((count: number) => count >= 0)
  expect(batches).not.toEqual([])
  for (const batch of batches) expect(batch).toMatchObject({ confirmed: isNoLess, refused: 0, unknown: isNoLess })
  proxy.resume()
  const rowsLeft = async () => {
    await Promise.allSettled([relay.runOnce()])
    return lane.rows()
  }
  await expect.poll(rowsLeft, soon).toBe(1)
})
