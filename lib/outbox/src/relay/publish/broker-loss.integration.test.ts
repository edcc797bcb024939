import { startProxy } from '@esteira/test/support'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startBlockingProxy } from '../../../test/blocking-proxy.ts'
import { lane, useLane, vhost } from '../../../test/use-lane.ts'

const pollMs = 600_000
const soon = { timeout: 15_000, interval: 20 }

useLane()

let proxy: Awaited<ReturnType<typeof startProxy>>

beforeEach(async () => {
  proxy = await startProxy(vhost.url)
})

afterEach(() => proxy.stop())

const message = (payload: unknown) => ({ routingKey: lane.name, payload })

const isAwake = async (): Promise<boolean> => !(await lane.isAsleep())

/** A relay behind the proxy whose link to the broker is open. */
const linkedRelay = async (options = {}) => {
  const relay = lane.relay({ rabbitmqUrl: proxy.url, pollMs, ...options })
  await lane.commit(message('first'))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1 })
  return relay
}

test('a row whose confirm is lost is published again, under the same message id', async () => {
  const relay = await linkedRelay()
  await lane.commit(message('second'))
  const dropped = proxy.dropNextConfirm()
  expect(await relay.runOnce()).toMatchObject({ read: 1, confirmed: 0, refused: 0, unknown: 1 })
  await dropped
  expect(await lane.rows()).toBe(1)
  expect(await relay.runOnce()).toMatchObject({ read: 1, confirmed: 1 })
  expect(await lane.rows()).toBe(0)
  const [, ...again] = await lane.take(lane.name)
  expect(again.map(({ payload }) => payload)).toEqual(['second', 'second'])
  expect(new Set(again.map(({ messageId }) => messageId)).size).toBe(1)
})

test('a confirm that does not come in time leaves the row unknown, and the channel is replaced', async () => {
  const relay = await linkedRelay({ confirmDeadlineMs: 2_000 })
  await lane.commit(message('second'))
  proxy.pause()
  const turn = relay.runOnce()
  await expect.poll(() => relay.saw('broker.channel-closed').length, soon).toBe(1)
  // What was sent may be on its way until RabbitMQ has closed the channel.
  proxy.resume()
  expect(await turn).toMatchObject({ confirmed: 0, unknown: 1 })
  const reason = expect.stringMatching('^no confirm within 2000 ms of a message to exchange "", routing key "')
  expect(relay.saw('broker.channel-closed')).toMatchObject([{ reason }])
  // It waits for a moment, as its queue may be what does not confirm.
  await expect.poll(() => relay.runOnce(), soon).toMatchObject({ confirmed: 1, unknown: 0 })
  expect(relay.saw('broker.connected')).toHaveLength(1)
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual(['first', 'second', 'second'])
})

test('no more than the window is in flight, whatever the backlog', async () => {
  const relay = await linkedRelay({ window: 8, confirmDeadlineMs: 2_000 })
  await lane.commit(...Array.from({ length: 100 }, (_, index) => message(index)))
  proxy.pause()
  expect(await relay.runOnce()).toMatchObject({ read: 8, confirmed: 0, unknown: 8 })
})

test('a relay starts while RabbitMQ is down, and its rows go out once it is back', async () => {
  proxy.cut()
  const relay = lane.relay({ rabbitmqUrl: proxy.url, pollMs })
  await relay.start()
  await lane.commit(message('waits'))
  await expect.poll(() => relay.saw('broker.unavailable').length, soon).toBeGreaterThan(2)
  expect(await lane.rows()).toBe(1)
  const { hostname, port, pathname } = new URL(proxy.url)
  expect(relay.saw('broker.unavailable')[0]).toMatchObject({
    address: expect.stringMatching(new RegExp(`^amqp://[^:@]*@${hostname}:${port}${pathname}$`)),
    attempt: 1,
  })
  proxy.resume()
  await expect.poll(() => lane.rows(), soon).toBe(0)
  expect(await lane.take(lane.name)).toHaveLength(1)
})

test('a link that falls while the lane is quiet is opened again before the next row', async () => {
  const relay = lane.relay({ rabbitmqUrl: proxy.url, pollMs })
  await relay.start()
  await expect.poll(() => relay.saw('broker.connected').length, soon).toBe(1)
  proxy.cut()
  await expect.poll(() => relay.saw('broker.lost').length, soon).toBe(1)
  proxy.resume()
  await expect.poll(() => relay.saw('broker.connected').length, soon).toBe(2)
  await lane.commit(message('after'))
  await expect.poll(() => lane.rows(), soon).toBe(0)
})

test('a relay has one connection to the broker and leaves none behind', async () => {
  const relay = await linkedRelay()
  proxy.cut()
  proxy.resume()
  await lane.commit(message('second'))
  await expect.poll(() => relay.runOnce(), soon).toMatchObject({ confirmed: 1 })
  expect(proxy.connections()).toBe(1)
  await relay.stop({ graceMs: 0 })
  await expect.poll(() => proxy.connections(), soon).toBe(0)
})

test('a broker that is blocked is left alone until it takes messages again', async () => {
  const blocking = await startBlockingProxy(vhost.url)
  const relay = lane.relay({ rabbitmqUrl: blocking.url, pollMs })
  await lane.commit(message(1))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1 })
  blocking.block()
  await expect.poll(() => relay.saw('broker.blocked'), soon).toMatchObject([{ reason: 'low' }])
  await lane.commit(message(2))
  expect(await relay.runOnce()).toEqual({ kind: 'blocked' })
  expect(await lane.count(lane.name)).toBe(1)
  blocking.unblock()
  await expect.poll(() => relay.saw('broker.unblocked'), soon).toHaveLength(1)
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1 })
  await relay.stop({ graceMs: 0 })
  await blocking.close()
})

test('a broker that is blocked in the middle of a pass is sent nothing more', async () => {
  const blocking = await startBlockingProxy(vhost.url)
  const relay = lane.relay({ rabbitmqUrl: blocking.url, window: 8 })
  await lane.commit(message('first'))
  await relay.runOnce()
  blocking.hold()
  await lane.commit(...Array.from({ length: 20 }, (_, index) => message(index)))
  const turn = relay.runOnce()
  await expect.poll(() => lane.count(lane.name), soon).toBe(9)
  blocking.block()
  await expect.poll(() => relay.saw('broker.blocked').length, soon).toBe(1)
  blocking.release()
  expect(await turn).toMatchObject({ read: 8, confirmed: 8 })
  await relay.stop({ graceMs: 0 })
  await blocking.close()
})

test('a broker that is blocked may take longer than the deadline to confirm', async () => {
  const confirmDeadlineMs = 500
  const blocking = await startBlockingProxy(vhost.url)
  const relay = lane.relay({ rabbitmqUrl: blocking.url, confirmDeadlineMs })
  await lane.commit(message(1))
  await relay.runOnce()
  blocking.hold()
  await lane.commit(message(2))
  const startedMs = performance.now()
  const turn = relay.runOnce()
  blocking.block()
  await expect.poll(() => performance.now() - startedMs, soon).toBeGreaterThan(3 * confirmDeadlineMs)
  blocking.release()
  expect(await turn).toMatchObject({ confirmed: 1, unknown: 0 })
  expect(relay.saw('broker.blocked')).toHaveLength(1)
  await relay.stop({ graceMs: 0 })
  await blocking.close()
})

test('a relay that waits for a blocked broker goes on at once when it is unblocked', async () => {
  const blocking = await startBlockingProxy(vhost.url)
  const relay = lane.relay({ rabbitmqUrl: blocking.url, pollMs })
  await relay.start()
  await lane.commit(message('first'))
  await expect.poll(() => lane.rows(), soon).toBe(0)
  await expect.poll(isAwake, soon).toBe(false)
  blocking.block()
  await expect.poll(() => relay.saw('broker.blocked').length, soon).toBe(1)
  expect(relay.state()).toMatchObject({ broker: 'blocked' })
  await lane.commit(message('waits'))
  await expect.poll(isAwake, soon).toBe(true)
  // Long enough for a relay that would publish, were it allowed to.
  await lane.db.query('select pg_sleep(0.3)')
  expect(await lane.count(lane.name)).toBe(1)
  blocking.unblock()
  await expect.poll(() => lane.rows(), soon).toBe(0)
  await relay.stop({ graceMs: 0 })
  await blocking.close()
})

test('stop does not wait longer than its grace for a broker that does not answer', async () => {
  const relay = lane.relay({ rabbitmqUrl: proxy.url, pollMs })
  await relay.start()
  await lane.commit(message('out'))
  await expect.poll(() => lane.rows(), soon).toBe(0)
  proxy.pause()
  await lane.commit(message('in flight'))
  await expect.poll(() => lane.count(lane.name), soon).toBe(2)
  const startedMs = performance.now()
  await relay.stop({ graceMs: 300 })
  expect(performance.now() - startedMs).toBeLessThan(3_000)
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: false }])
  expect(await lane.rows()).toBe(1)
})
