import { createVhost, startProxy } from '@esteira/test/support'
import amqplib from 'amqplib'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startStallingProxy } from '../../../test/stalling-proxy.ts'
import { OutboxError } from '../../errors.ts'
import type { Observation } from '../observation.ts'
import type { LaneRow } from '../read/lane-row.ts'
import { type BrokerLink, createBrokerLink } from './broker-link.ts'
import { createLaneChannel } from './lane-channel.ts'

let vhost: Awaited<ReturnType<typeof createVhost>>
beforeAll(async () => {
  vhost = await createVhost()
})
afterAll(() => vhost.drop())

/** The channel of a key lane of a database, on a link of its own. */
const keyChannel = async (fence: string, { rabbitmqUrl = vhost.url, database = fence, now = (): number => 0 } = {}) => {
  const observed: Observation[] = []
  const link = createBrokerLink({ rabbitmqUrl, name: fence, observe: () => {} })
  onTestFinished(link.close)
  await link.connect()
  const means = { database, link, observe: (observation: Observation) => void observed.push(observation) }
  const channel = createLaneChannel({ lane: 1, name: 'key 1', kind: 'key', fence }, means, now)
  return { link, channel, observed }
}

/** The channel of a lane of a pod. */
const podChannel = (link: BrokerLink, lane: number) =>
  createLaneChannel(
    { lane, name: `pod ${lane}`, kind: 'pod', fence: '' },
    { database: 'test', link, observe: () => {} },
  )

test('a lane that finds no channel left says what allows so few, and leaves the others theirs', async () => {
  const { link, channel } = await keyChannel('few', { rabbitmqUrl: `${vhost.url}?channelMax=1` })
  const first = await podChannel(link, 2).open()
  const isTold = expect.objectContaining({
    code: 'broker_unavailable',
    message: expect.stringMatching('one for each lane .* channelMax in the address, or channel_max of RabbitMQ'),
  })
  await expect(podChannel(link, 3).open()).rejects.toThrow(isTold)
  await expect(channel.open()).rejects.toThrow(isTold)
  expect(link.up()).toBe(true)
  expect(first.closed()).toBe(false)
})

const isFenced = expect.objectContaining({ code: 'fence_held' })

test('a connection that fell before anybody listened is dropped by a key lane as well', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const { link, channel } = await keyChannel('fell', { rabbitmqUrl: proxy.url })
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

test('a fence that another connection has is told once, as that, and the connection is kept', async () => {
  const { link, channel, observed } = await keyChannel('held')
  const owner = await amqplib.connect(vhost.url)
  await (await owner.createChannel()).assertQueue('outbox.lane.held.1', { exclusive: true, durable: false })
  await expect(channel.open()).rejects.toThrow(isFenced)
  await expect(channel.open()).rejects.toThrow(isFenced)
  expect(observed).toEqual([{ kind: 'relay.fenced', lane: 'key 1', queue: 'outbox.lane.held.1' }])
  expect(link.up()).toBe(true)
  await owner.close()
  expect((await channel.open()).closed()).toBe(false)
})

test('a lane of a database and that of its copy are open at once; the second waits until no former owner can be left', async () => {
  let nowMs = 0
  const original = await keyChannel('copied', { database: 'original' })
  const copy = await keyChannel('copied', { database: 'copy', now: () => nowMs })
  const published = await original.channel.open()
  await expect(copy.channel.open()).rejects.toThrow(isFenced)
  nowMs = 29_999
  await expect(copy.channel.open()).rejects.toThrow(isFenced)
  expect(copy.observed).toEqual([{ kind: 'relay.fenced', lane: 'key 1', queue: 'outbox.lane.copied' }])
  nowMs = 30_000
  expect((await copy.channel.open()).closed()).toBe(false)
  expect(published.closed()).toBe(false)
})

test('a key lane that is let go has its next owner publish at once, while its connection lives', async () => {
  const { link, channel } = await keyChannel('let go')
  const heir = await keyChannel('let go')
  await channel.open()
  await expect(heir.channel.open()).rejects.toThrow(isFenced)
  expect(await channel.letGo()).toBe(true)
  expect((await heir.channel.open()).closed()).toBe(false)
  expect(link.up()).toBe(true)
  // What is the heir's by now is left to it.
  expect(await channel.letGo()).toBe(true)
  await expect((await keyChannel('let go')).channel.open()).rejects.toThrow(isFenced)
})

test('a key lane of which something may be on its way is not let go', async () => {
  const { link, channel } = await keyChannel('on its way')
  const heir = await keyChannel('on its way')
  const opened = await channel.open()
  opened.abandon(new OutboxError('confirm_overdue', 'the confirm did not come'))
  expect(await channel.letGo()).toBe(false)
  await expect(heir.channel.open()).rejects.toThrow(isFenced)
  await link.drop('by the test')
  await expect
    .poll(() =>
      heir.channel.open().then(
        (one) => one.closed(),
        () => true,
      ),
    )
    .toBe(false)
})

test('a relay of the version before waits for one of this version, and this one for that', async () => {
  const { link, channel } = await keyChannel('mixed')
  const before = await amqplib.connect(vhost.url)
  const declare = async () => {
    const one = await before.createChannel()
    one.on('error', () => {})
    await one.assertQueue('outbox.lane.mixed', { exclusive: true, durable: false })
  }
  await channel.open()
  await expect(declare()).rejects.toThrow('RESOURCE_LOCKED')
  await link.drop('by the test')
  await declare()
  await link.connect()
  await expect(channel.open()).rejects.toThrow(isFenced)
  await before.close()
  expect((await channel.open()).closed()).toBe(false)
})

test('a fence that RabbitMQ refuses for another reason is told with the reason, and the connection is kept', async () => {
  const { link, channel } = await keyChannel('refused')
  const declared = Promise.withResolvers<void>()
  link.connection().createChannel((error, other) => {
    if (error instanceof Error) return declared.reject(error)
    // The same connection may declare it again, but not without the limit.
    other.assertQueue('outbox.lane.refused.1', { exclusive: true, durable: false, maxLength: 1 }, () =>
      declared.resolve(),
    )
  })
  await declared.promise
  await expect(channel.open()).rejects.toThrow(
    expect.objectContaining({ code: 'broker_unavailable', message: expect.stringContaining('PRECONDITION_FAILED') }),
  )
  expect(link.up()).toBe(true)
})

const row: LaneRow = {
  id: 1n,
  messageId: '00000000-0000-4000-8000-000000000000',
  exchange: '',
  routingKey: 'nobody',
  orderingKey: 'a',
  headers: {},
  payload: '1',
  size: 1,
  createdAt: 0,
}

/** A key lane that gave its channel up while a row was on its way by that, to a broker that does not come to it. */
const stalledChannel = async (fence: string) => {
  const proxy = await startStallingProxy(vhost.url)
  onTestFinished(proxy.stop)
  const { link, channel } = await keyChannel(fence, { rabbitmqUrl: proxy.url })
  const first = await channel.open()
  proxy.stallAt(row.routingKey)
  first.publish(row, () => {})
  first.abandon(new OutboxError('confirm_overdue', 'the confirm did not come'))
  // The row and the end of the channel.
  await expect.poll(proxy.held).toBeGreaterThan(3)
  return { proxy, link, channel }
}

test('what is on its way by a channel that was given up comes before what goes by the next one', async () => {
  const { proxy, link, channel } = await stalledChannel('stalled')
  let isOpen = false
  const next = channel.open().finally(() => {
    isOpen = true
  })
  // Opened after it, on the same connection.
  await podChannel(link, 2).open()
  expect(isOpen).toBe(false)
  proxy.release()
  expect((await next).closed()).toBe(false)
  expect(link.up()).toBe(true)
})

test('a lane of which something is on its way by a former channel is not let go', async () => {
  const { link, channel } = await stalledChannel('stalled at the end')
  const heir = await keyChannel('stalled at the end')
  void Promise.allSettled([channel.open()])
  // Opened after it, on the same connection.
  await podChannel(link, 2).open()
  expect(await channel.letGo()).toBe(false)
  await expect(heir.channel.open()).rejects.toThrow(isFenced)
})

test('a connection on which RabbitMQ does not close a channel that was given up is dropped', async () => {
  const { link, channel } = await stalledChannel('never closed')
  await expect(channel.open()).rejects.toThrow(expect.objectContaining({ code: 'broker_unavailable' }))
  expect(link.up()).toBe(false)
  await link.connect()
  const isOpen = () =>
    channel.open().then(
      (one) => !one.closed(),
      () => false,
    )
  await expect.poll(isOpen, { timeout: 10_000 }).toBe(true)
}, 30_000)

/** The numbers of the classes and methods, as they are in a frame. */
const channelOpen = '\u0000\u0014\u0000\n'
const channelClose = '\u0000\u0014\u0000('
const connectionClose = '\u0000\n\u00002'

test.each([
  ['opens no channel', 'pod', channelOpen],
  ['declares no fence', 'key', 'outbox.lane.silent'],
] as const)(
  'a connection that lives and %s is dropped, and why is told once',
  { timeout: 40_000 },
  async (_, kind, words) => {
    const proxy = await startStallingProxy(vhost.url)
    onTestFinished(proxy.stop)
    const lost: Observation[] = []
    const observe = (seen: Observation) => void (seen.kind === 'broker.lost' && lost.push(seen))
    const link = createBrokerLink({ rabbitmqUrl: proxy.url, name: words, observe })
    onTestFinished(link.close)
    await link.connect()
    const lane = { lane: 1, name: 'lane 1', kind, fence: 'silent' }
    const channel = createLaneChannel(lane, { database: 'silent', link, observe: () => {} })
    proxy.stallAt(words)
    await expect(channel.open()).rejects.toThrow(
      expect.objectContaining({ code: 'broker_unavailable', message: expect.stringContaining('15000 ms') }),
    )
    expect(link.up()).toBe(false)
    expect(lost).toMatchObject([{ reason: expect.stringContaining('15000 ms') }])
    proxy.release()
    await link.connect()
    expect((await channel.open()).closed()).toBe(false)
  },
)

test.each([
  ['closes no channel', 'its last', channelClose],
  ['frees no fence', 'mute', 'outbox.lane.mute.1'],
])(
  'a lane is not let go where RabbitMQ lives and %s, and its owner does not wait for that',
  async (_, fence, words) => {
    const proxy = await startStallingProxy(vhost.url)
    onTestFinished(proxy.stop)
    const { link, channel } = await keyChannel(fence, { rabbitmqUrl: proxy.url })
    const heir = await keyChannel(fence)
    await channel.open()
    proxy.stallAt(words)
    expect(await channel.letGo()).toBe(false)
    await expect(heir.channel.open()).rejects.toThrow(isFenced)
    expect(link.up()).toBe(true)
  },
)

test('a lane that hears of the end of a connection late leaves the next one as it is', async () => {
  const proxy = await startStallingProxy(vhost.url)
  onTestFinished(proxy.stop)
  const link = createBrokerLink({ rabbitmqUrl: proxy.url, name: 'late', observe: () => {} })
  onTestFinished(link.close)
  await link.connect()
  proxy.stallAt(channelOpen)
  const opening = podChannel(link, 1).open()
  await expect.poll(proxy.held).toBe(1)
  // What is said on the connection itself is held up from now on, its end too.
  proxy.stallAt(connectionClose)
  const dropped = link.drop('by the test')
  const next = await link.connect()
  await expect(opening).rejects.toThrow(expect.objectContaining({ code: 'broker_unavailable' }))
  await dropped
  expect(link.connection()).toBe(next)
})
