import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { lane, useLane, vhost } from '../../../test/use-lane.ts'
import { openConfirmChannel } from './confirm-channel.ts'
import { openConnection } from './open-connection.ts'
import type { PublishOutcome } from './outcome.ts'

const frameMax = 8_192

useLane()

const smallFrames = () => `${vhost.url}?frameMax=${frameMax}`

const withHeaders = (payload: unknown, headers: Record<string, string>) => ({ routingKey: lane.name, payload, headers })

test('a row whose headers fit into no frame of the connection is parked alone, and those beside it go out', async () => {
  const relay = lane.relay({
    rabbitmqUrl: smallFrames(),
    parkAfter: 2,
    refusedBackoff: { firstMs: 1, capMs: 1 },
  })
  const large = withHeaders('large', { large: 'x'.repeat(frameMax) })
  await lane.commit(withHeaders(1, {}), large, withHeaders(2, {}))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 2, unknown: 0 })
  await expect.poll(async () => (await relay.runOnce()).kind === 'done' && lane.rows()).toBe(0)
  const { rows } = await lane.db.query('select reason, attempts from outbox_parked where lane = $1', [lane.id])
  expect(rows).toEqual([{ reason: expect.stringMatching(/^its properties need a frame of \d+ bytes/), attempts: 2 }])
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual([1, 2])
  expect(relay.saw('broker.lost')).toEqual([])
})

test('a payload of any size goes in as many frames as it takes', async () => {
  const relay = lane.relay({ rabbitmqUrl: smallFrames() })
  await lane.commit({ routingKey: lane.name, payload: 'x'.repeat(10 * frameMax) })
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1 })
})

test.each([
  ['text', { é: 'ção' }],
  ['numbers', { a: 1, b: -129, c: 70_000, d: 2 ** 40, e: 0.5, f: 2 ** 60 }],
  ['what only JSON has', { yes: true, none: null, list: [1, 'a', [false]], within: { a: { b: 300 } } }],
])('no byte of a frame is refused in vain: %s', async (_, others) => {
  const connection = await openConnection(smallFrames(), { name: 'test', heartbeatSeconds: 5 })
  const broken = Promise.withResolvers<Error>()
  connection.on('error', broken.resolve)
  const channel = await openConfirmChannel(connection, () => {})
  const rowWith = (length: number) => ({
    id: 1n,
    messageId: randomUUID(),
    exchange: '',
    routingKey: lane.name,
    orderingKey: null,
    headers: { ...others, rest: 'x'.repeat(length) },
    payload: '1',
    size: 0,
    createdAt: 0,
  })
  const publish = (length: number) =>
    new Promise<PublishOutcome>((resolve) => channel.publish(rowWith(length), resolve))
  const tooLarge = await publish(frameMax)
  const bytes = Number(tooLarge.kind === 'refused' && /frame of (\d+) bytes/.exec(tooLarge.reason)?.[1])
  const most = frameMax - (bytes - frameMax)
  expect(await publish(most)).toEqual({ kind: 'confirmed' })
  expect(await publish(most + 1)).toMatchObject({ kind: 'refused', why: 'unwritable', of: 'row' })
  // RabbitMQ forgives eight bytes and closes the connection over the ninth, so it counts as we do.
  const opened = Promise.withResolvers<void>()
  const unchecked = connection.createConfirmChannel(() => opened.resolve())
  await opened.promise
  const publishUnchecked = (length: number) =>
    new Promise<unknown>((resolve) => {
      const { routingKey, messageId, headers } = rowWith(length)
      const properties = { persistent: true, contentType: 'application/json', messageId, timestamp: 0, headers }
      unchecked.publish('', routingKey, Buffer.from('1'), properties, resolve)
    })
  expect(await publishUnchecked(most + 8)).toBeNull()
  await publishUnchecked(most + 9)
  expect((await broken.promise).message).toContain('FRAME_ERROR')
})
