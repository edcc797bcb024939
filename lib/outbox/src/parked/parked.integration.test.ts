import { cloneDatabase } from '@esteira/test/support'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dropParked, listParked, retryParked } from './parked.ts'

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

test('a parked message whose id a new one has cannot be retried until that is gone, and is told so', async () => {
  const id = 9_000n
  await client.query(
    `insert into outbox_parked
       (lane, id, message_id, exchange, routing_key, ordering_key, headers, payload, created_at, reason, attempts)
     values (8, $1, gen_random_uuid(), 'x', 'orders', 'key', '{}', '1', now(), 'test', 1)`,
    [String(id)],
  )
  await client.query(
    `insert into outbox_message (lane, id, message_id, routing_key, payload)
     overriding system value values (8, $1, gen_random_uuid(), 'orders', '1')`,
    [String(id)],
  )
  await expect(retryParked(client, { lane: 8, id })).rejects.toThrow(
    expect.objectContaining({ code: 'id_taken', message: expect.stringContaining('lane 8 has a message already') }),
  )
  expect((await listParked(client)).filter(({ lane }) => lane === 8)).toMatchObject([{ id }])
  await client.query('delete from outbox_message where lane = 8')
  expect(await retryParked(client, { lane: 8, id })).toBe(true)
  await client.query('delete from outbox_message where lane = 8')
})

test('one without a key, which gets a new id, can be retried for the next one', async () => {
  await client.query('begin')
  await client.query(
    `insert into outbox_parked
       (lane, id, message_id, exchange, routing_key, headers, payload, created_at, reason, attempts)
     values (6, 1, gen_random_uuid(), 'x', 'orders', '{}', '1', now(), 'test', 1)`,
  )
  await client.query(
    `with back as (select setval(pg_get_serial_sequence('outbox_message', 'id'), 9000) as last)
     insert into outbox_message (lane, id, message_id, routing_key, payload)
     overriding system value select 6, last + 1, gen_random_uuid(), 'orders', '1' from back`,
  )
  await client.query('savepoint before')
  await expect(retryParked(client, { lane: 6, id: 1n })).rejects.toThrow(
    expect.objectContaining({ code: 'id_taken', message: expect.stringContaining('else at once') }),
  )
  await client.query('rollback to before')
  expect(await retryParked(client, { lane: 6, id: 1n })).toBe(true)
  await client.query('rollback')
})

test('what another unique index refuses is told as Postgres says it', async () => {
  await client.query('begin')
  await client.query('create unique index own_rule on outbox_message (routing_key)')
  await client.query(
    `insert into outbox_parked
       (lane, id, message_id, exchange, routing_key, headers, payload, created_at, reason, attempts)
     values (6, 1, gen_random_uuid(), 'x', 'once', '{}', '1', now(), 'test', 1)`,
  )
  await client.query(
    `insert into outbox_message (lane, message_id, routing_key, payload) values (5, gen_random_uuid(), 'once', '1')`,
  )
  await expect(retryParked(client, { lane: 6, id: 1n })).rejects.toThrow(
    expect.objectContaining({ code: '23505', constraint: 'own_rule' }),
  )
  await client.query('rollback')
})

test('who decides about parked messages needs no more rights than the README names', async () => {
  await client.query('begin')
  await client.query(
    `insert into outbox_parked
       (lane, id, message_id, exchange, routing_key, ordering_key, headers, payload, created_at, reason, attempts)
     select 7, 1000 + number, gen_random_uuid(), 'x', 'orders', case when number < 3 then 'key' end, '{}', '1', now(), 'test', 1
     from generate_series(1, 4) as number`,
  )
  await client.query(
    `create role decider; grant select, delete on outbox_parked to decider; grant insert on outbox_message to decider;
     set local role decider`,
  )
  const parked = (await listParked(client)).filter(({ lane }) => lane === 7)
  expect(parked).toHaveLength(4)
  const [keyed, other, unkeyed, last] = parked
  if (!keyed || !other || !unkeyed || !last) throw new Error('too few are parked')
  expect(await retryParked(client, keyed)).toBe(true)
  expect(await retryParked(client, keyed)).toBe(false)
  expect(await retryParked(client, unkeyed)).toBe(true)
  expect(await dropParked(client, other)).toBe(true)
  expect(await dropParked(client, last)).toBe(true)
  await client.query('reset role')
  const { rows } = await client.query('select ordering_key from outbox_message where lane = 7 order by ordering_key')
  expect(rows).toEqual([{ ordering_key: 'key' }, { ordering_key: null }])
  await client.query('rollback')
})
