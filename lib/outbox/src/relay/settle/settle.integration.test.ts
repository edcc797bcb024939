import { expect, test } from 'vitest'
import { ownLane } from '../../../test/own-lane.ts'
import { lane, useLane } from '../../../test/use-lane.ts'
import type { Observation } from '../observation.ts'
import type { PublishOutcome } from '../publish/outcome.ts'
import type { LaneRow } from '../read/lane-row.ts'
import { settle } from './settle.ts'

useLane()

const row = (id: bigint): LaneRow => ({
  id,
  messageId: String(id),
  exchange: 'headers',
  routingKey: '',
  orderingKey: null,
  headers: {},
  payload: '1',
  size: 0,
  createdAt: 0,
})

const unroutable: PublishOutcome = {
  kind: 'refused',
  why: 'unroutable',
  of: 'destination',
  reason: 'no queue takes it',
}

/** Far beyond each test, so that no row's time comes while it runs. */
const longBackoff = { firstMs: 600_000, capMs: 600_000 }

const means = { parkAfter: 10, observe: () => {} }

test('what was refused by a batch is held for itself once a queue takes a row of another batch to its destination', async () => {
  const owned = await ownLane('relay', lane.name, longBackoff)
  await settle(owned, new Map([1n, 2n].map((id) => [row(id), unroutable])), means)
  expect(owned.held.closed()).toHaveLength(1)
  await settle(owned, new Map([[row(3n), { kind: 'confirmed' }]]), means)
  expect(owned.held.closed()).toEqual([])
  expect(owned.held.waiting()).toEqual([1n, 2n])
})

test('a probe that goes through lets all others follow at once, and holds none of them for itself', async () => {
  const owned = await ownLane('relay', lane.name, longBackoff)
  await settle(owned, new Map([1n, 2n].map((id) => [row(id), unroutable])), means)
  // The companion of the probe is confirmed before it.
  const taken: [LaneRow, PublishOutcome][] = [3n, 1n].map((id) => [row(id), { kind: 'confirmed' }])
  await settle(owned, new Map(taken), means)
  expect(owned.held.closed()).toEqual([])
  expect(owned.held.isEmpty()).toBe(true)
})

test.each([
  ['an own lane', 'own'],
  ['a key lane', 'key 1'],
])(
  'of messages for queues that are not there those that are too many are left, and none is parked: %s',
  async (_, name) => {
    const owned = await ownLane('relay', name, longBackoff)
    const toMissing = Array.from({ length: 11_005 }, (_none, index): [LaneRow, PublishOutcome] => [
      { ...row(BigInt(index + 1)), exchange: '', routingKey: `missing ${index}`, orderingKey: `key ${index}` },
      unroutable,
    ])
    expect(await settle(owned, new Map(toMissing), { ...means, parkAfter: 1 })).toMatchObject({ left: 5 })
    expect(owned.held.waiting()).toHaveLength(11_000)
  },
)

test('a row without a key is held in a key lane, however many are, as it holds back the next one', async () => {
  const owned = await ownLane('relay', 'key 1', longBackoff)
  for (let id = 1n; id <= 10_001n; id += 1n) owned.held.hold({ id, key: String(id) }, 'unroutable')
  const stray = { ...row(20_000n), exchange: '', routingKey: 'missing' }
  expect(await settle(owned, new Map([[stray, unroutable]]), means)).toMatchObject({ left: 0 })
  expect(owned.held.waitsForKey('')).toBe(true)
})

test.each([
  ['to an exchange, without a confirm', { exchange: 'headers' }, { kind: 'unknown', cause: null, isLate: true }],
  ['to a queue, without a confirm', { exchange: '', routingKey: 'q' }, { kind: 'unknown', cause: null, isLate: true }],
  ['to a queue that was not there', { exchange: '', routingKey: 'q' }, unroutable],
] as const)('a row that was tried often before it is first refused is parked no sooner: %s', async (_, to, patient) => {
  const owned = await ownLane('relay', lane.name, longBackoff)
  await lane.db.query(
    `insert into outbox_message (lane, id, message_id, routing_key, payload) overriding system value
     select $1, id, gen_random_uuid(), 'any', '1' from (values (1), (2)) as ids (id)`,
    [lane.id],
  )
  const rows = [
    { ...row(1n), ...to },
    { ...row(2n), ...to },
  ]
  const settleAs = (outcome: PublishOutcome) =>
    settle(owned, new Map(rows.map((one) => [one, outcome])), { ...means, parkAfter: 2 })
  const attemptsOfParked = async () =>
    (await lane.db.query('select attempts from outbox_parked where lane = $1', [lane.id])).rows
  for (let tries = 1; tries <= 5; tries += 1) await settleAs(patient)
  const nacked: PublishOutcome = { kind: 'refused', why: 'nacked', of: 'destination', reason: 'it was nacked' }
  await settleAs(nacked)
  await settleAs(patient)
  expect(await attemptsOfParked()).toEqual([])
  await settleAs(nacked)
  expect(await attemptsOfParked()).toContainEqual({ attempts: 2 })
})

test('a row whose id is that of a parked one is parked under another, and one with a key stays until that is decided', async () => {
  const owned = await ownLane('relay', lane.name, longBackoff)
  await lane.db.query(
    `with ids (id) as (values (1), (2), (3)), parked as (
       insert into outbox_parked (lane, id, message_id, exchange, routing_key, headers, payload, created_at, reason, attempts)
       select $1, id, gen_random_uuid(), '', 'old', '{}', '1', now(), 'old', 1 from ids where id < 3
     )
     insert into outbox_message (lane, id, message_id, routing_key, ordering_key, payload) overriding system value
     select $1, id, gen_random_uuid(), 'new', case when id = 2 then 'a' end, '1' from ids`,
    [lane.id],
  )
  const rows = [row(1n), { ...row(2n), orderingKey: 'a' }, row(3n)]
  const refused = new Map(rows.map((one): [LaneRow, PublishOutcome] => [one, { ...unroutable, of: 'row' }]))
  const saw: Observation[] = []
  const settleAgain = () => settle(owned, refused, { parkAfter: 1, observe: (seen) => saw.push(seen) })
  const parked = async () => {
    const found = await lane.db.query(
      'select id::int, routing_key as of from outbox_parked where lane = $1 order by id',
      [lane.id],
    )
    return found.rows
  }
  await settleAgain()
  expect(await parked()).toEqual([
    { id: 1, of: 'old' },
    { id: 2, of: 'old' },
    { id: 3, of: 'new' },
    { id: 4, of: 'new' },
  ])
  expect(owned.held.waiting()).toEqual([2n])
  expect(saw.filter(({ kind }) => kind === 'relay.parked')).toMatchObject([{ count: 2 }])
  await lane.db.query('delete from outbox_parked where id = 2')
  await settleAgain()
  expect(await parked()).toContainEqual({ id: 2, of: 'new' })
  expect(await lane.rows()).toBe(0)
})
