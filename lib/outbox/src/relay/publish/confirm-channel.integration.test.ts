import { randomUUID } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { lane, useLane, vhost } from '../../../test/use-lane.ts'
import type { LaneRow } from '../read/lane-row.ts'
import { type ConfirmChannel, openConfirmChannel } from './confirm-channel.ts'
import { openConnection } from './open-connection.ts'
import type { PublishOutcome } from './outcome.ts'

useLane()

const rowTo = (routingKey: string, messageId: string = randomUUID()): LaneRow => ({
  id: 1n,
  messageId,
  exchange: '',
  routingKey,
  orderingKey: null,
  headers: {},
  payload: '1',
  size: 0,
  createdAt: 0,
})

const openChannel = async (): Promise<ConfirmChannel> => {
  const connection = await openConnection(vhost.url, { name: 'test', heartbeatSeconds: 5 })
  onTestFinished(() => new Promise((resolve) => connection.close(() => resolve())))
  return openConfirmChannel(connection, () => {})
}

const publish = (channel: ConfirmChannel, row: LaneRow): Promise<PublishOutcome> =>
  new Promise((resolve) => channel.publish(row, resolve))

test('a message that came back once goes through later, also if the channel is never idle meanwhile', async () => {
  const channel = await openChannel()
  let busy = true
  onTestFinished(() => {
    busy = false
  })
  const publishOnAndOn = () => channel.publish(rowTo(lane.name), () => busy && publishOnAndOn())
  // Of two, one is in flight whenever the other one ends.
  publishOnAndOn()
  publishOnAndOn()
  const late = rowTo(`${lane.name}.late`)
  expect(await publish(channel, late)).toMatchObject({ kind: 'refused', why: 'unroutable' })
  await lane.declareQueue(late.routingKey)
  expect(await publish(channel, late)).toEqual({ kind: 'confirmed' })
})

test('of two messages in flight with one id the one comes back that no queue takes, and the other is out', async () => {
  const channel = await openChannel()
  const id = randomUUID()
  const rows = [rowTo(`${lane.name}.missing`, id), rowTo(lane.name, id)]
  for (const both of [rows, rows.toReversed()]) {
    const outcomes = await Promise.all(both.map((row) => publish(channel, row)))
    expect(outcomes[both.findIndex(({ routingKey }) => routingKey === lane.name)]).toEqual({ kind: 'confirmed' })
    expect(outcomes.filter(({ kind }) => kind === 'refused')).toMatchObject([{ why: 'unroutable' }])
  }
})

test('of two messages that are the same none is taken for out while one of them came back', async () => {
  const channel = await openChannel()
  const row = rowTo(`${lane.name}.missing`)
  const outcomes = await Promise.all([row, row].map((one) => publish(channel, one)))
  expect(outcomes).toMatchObject([{ why: 'unroutable' }, { why: 'unroutable' }])
})

test('of many messages in flight that come back each is named a few times', async () => {
  const channel = await openChannel()
  const count = 1_000
  let named = 0
  const rows = Array.from({ length: count }, () => {
    const row = rowTo(`${lane.name}.missing`)
    return Object.defineProperty({ ...row }, 'messageId', { get: () => (named += 1) && row.messageId })
  })
  const outcomes = await Promise.all(rows.map((row) => publish(channel, row)))
  expect(outcomes.filter(({ kind }) => kind === 'refused')).toHaveLength(count)
  expect(named).toBeLessThan(20 * count)
})
