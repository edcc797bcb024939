import { createVhost, startProxy } from '@esteira/test/support'
import amqplib from 'amqplib'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createBrokerLink } from './broker-link.ts'
import { createLaneChannel } from './lane-channel.ts'

let vhost: Awaited<ReturnType<typeof createVhost>>
beforeAll(async () => {
  vhost = await createVhost()
})
afterAll(() => vhost.drop())

/** The channel of a key lane on a link of its own. */
const keyChannel = async (fence: string, rabbitmqUrl = vhost.url) => {
  const link = createBrokerLink({ rabbitmqUrl, name: fence, observe: () => {} })
  onTestFinished(link.close)
  await link.connect()
  return { link, channel: createLaneChannel({ lane: 1, name: 'key 1', kind: 'key', fence }, link, () => {}) }
}

test('a connection that fell before anybody listened is dropped by a key lane as well', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const { link, channel } = await keyChannel('fell', proxy.url)
  const connection = link.connection()
  connection.removeAllListeners('close')
  connection.on('error', () => {})
  const closed = Promise.withResolvers<void>()
  connection.on('close', () => closed.resolve())
  proxy.cut()
  await closed.promise
  proxy.resume()
  await expect(channel.open()).rejects.toThrow(expect.objectContaining({ code: 'broker_unavailable' }))
  expect(link.up()).toBe(false)
  await link.connect()
  expect((await channel.open()).closed()).toBe(false)
})

test('only a fence that another connection has is told as that, and the connection is kept', async () => {
  const { link, channel } = await keyChannel('held')
  const owner = await amqplib.connect(vhost.url)
  onTestFinished(() => owner.close())
  await (await owner.createChannel()).assertQueue('outbox.lane.held', { exclusive: true, durable: false })
  await expect(channel.open()).rejects.toThrow(expect.objectContaining({ code: 'fence_held' }))
  expect(link.up()).toBe(true)
})

test('a fence that RabbitMQ refuses for another reason is told with the reason, and the connection is kept', async () => {
  const { link, channel } = await keyChannel('refused')
  const declared = Promise.withResolvers<void>()
  link.connection().createChannel((error, other) => {
    if (error instanceof Error) return declared.reject(error)
    // The same connection may declare it again, but not without the limit.
    other.assertQueue('outbox.lane.refused', { exclusive: true, durable: false, maxLength: 1 }, () =>
      declared.resolve(),
    )
  })
  await declared.promise
  await expect(channel.open()).rejects.toThrow(
    expect.objectContaining({ code: 'broker_unavailable', message: expect.stringContaining('PRECONDITION_FAILED') }),
  )
  expect(link.up()).toBe(true)
})
