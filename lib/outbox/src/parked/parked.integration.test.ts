import { cloneDatabase } from '@esteira/test/support'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listParked } from './parked.ts'

let database: Awaited<ReturnType<typeof cloneDatabase>>
let client: pg.Client

beforeAll(async () => {
  database = await cloneDatabase()
  client = new pg.Client(database.url)
  await client.connect()
})

afterAll(async () => {
  await client.end()
  await database.drop()
})

test('parked messages are listed by lane and id, a page after the other, with the reason and the time', async () => {
  await client.query(
    `insert into outbox_parked
       (lane, id, message_id, exchange, routing_key, headers, payload, created_at, reason, attempts, parked_at)
     select lane, id, gen_random_uuid(), 'x', 'orders', '{}', '1', '2026-01-02T03:04:05Z', 'no queue takes it', 10,
       '2026-01-02T04:04:05.678Z'
     from (values (2, 1), (1, 9), (1, 10)) as parked (lane, id)`,
  )
  const places = (parked: readonly { lane: number; id: bigint }[]) => parked.map(({ lane, id }) => [lane, id])
  const first = await listParked(client, { limit: 2 })
  expect(places(first)).toEqual([
    [1, 9n],
    [1, 10n],
  ])
  expect(first[0]).toMatchObject({
    exchange: 'x',
    routingKey: 'orders',
    orderingKey: null,
    reason: 'no queue takes it',
    attempts: 10,
    createdAt: new Date('2026-01-02T03:04:05Z'),
    parkedAt: new Date('2026-01-02T04:04:05.678Z'),
  })
  const [, last] = first
  if (last === undefined) throw new Error('the page is short')
  expect(places(await listParked(client, { limit: 2, after: last }))).toEqual([[2, 1n]])
  expect(places(await listParked(client))).toHaveLength(3)
})
