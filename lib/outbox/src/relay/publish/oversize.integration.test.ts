import { cloneDatabase, startOwnRabbitmq } from '@esteira/test/support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type LaneUnderTest, openLane } from '../../../test/lane-under-test.ts'

let database: Awaited<ReturnType<typeof cloneDatabase>>
let broker: Awaited<ReturnType<typeof startOwnRabbitmq>>
let lane: LaneUnderTest

beforeAll(async () => {
  ;[database, broker] = await Promise.all([cloneDatabase(), startOwnRabbitmq({ max_message_size: 1_000 })])
  lane = await openLane('oversize', { databaseUrl: database.url, rabbitmqUrl: broker.url })
}, 120_000)
afterAll(async () => {
  await lane.close()
  await Promise.all([database.drop(), broker.drop()])
})

test('a payload that is larger than RabbitMQ takes is found among a thousand and parked alone, with the reason', async () => {
  await lane.declareQueue(lane.name)
  const relay = lane.relay({ parkAfter: 2, refusedBackoff: { firstMs: 10, capMs: 10 } })
  const small: unknown[] = Array.from({ length: 1_000 }, (_, index) => index)
  const payloads = small.toSpliced(500, 0, 'large'.repeat(1_000))
  await lane.commit(...payloads.map((payload) => ({ routingKey: lane.name, payload })))
  await expect
    .poll(() => relay.runOnce().then(() => relay.saw('relay.parked').length), { timeout: 20_000, interval: 20 })
    .toBe(1)
  expect(await lane.rows()).toBe(0)
  const received = new Set((await lane.take(lane.name)).map(({ payload }) => payload))
  expect([...received].toSorted((a, b) => Number(a) - Number(b))).toEqual(small)
  const { rows } = await lane.db.query('select attempts, reason from outbox_parked')
  expect(rows).toMatchObject([{ attempts: 2, reason: expect.stringMatching(/message size|PRECONDITION_FAILED/) }])
}, 60_000)
