import { expect, test } from 'vitest'
import { ownLane } from '../../../test/own-lane.ts'
import { useLane } from '../../../test/use-lane.ts'
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
  createdAt: 0,
})

const unroutable: PublishOutcome = {
  kind: 'refused',
  why: 'unroutable',
  of: 'destination',
  reason: 'no queue takes it',
}

const means = { parkAfter: 10, observe: () => {} }

test('what was refused by a batch is held for itself once a queue takes a row of another batch to its destination', async () => {
  const owned = await ownLane('relay')
  await settle(owned, new Map([1n, 2n].map((id) => [row(id), unroutable])), means)
  expect(owned.held.closed()).toHaveLength(1)
  await settle(owned, new Map([[row(3n), { kind: 'confirmed' }]]), means)
  expect(owned.held.closed()).toEqual([])
  expect(owned.held.waiting()).toEqual([1n, 2n])
})

test('a probe that goes through lets all others follow at once, and holds none of them for itself', async () => {
  const owned = await ownLane('relay')
  await settle(owned, new Map([1n, 2n].map((id) => [row(id), unroutable])), means)
  // The companion of the probe is confirmed before it.
  const taken: [LaneRow, PublishOutcome][] = [3n, 1n].map((id) => [row(id), { kind: 'confirmed' }])
  await settle(owned, new Map(taken), means)
  expect(owned.held.closed()).toEqual([])
  expect(owned.held.isEmpty()).toBe(true)
})

test.each([
  ['an own lane', 'own', { left: 5, held: 11_000 }],
  ['a key lane', 'key 1', { left: 0, held: 11_005 }],
])(
  'of messages for queues that are not there those that are too many are not parked: %s',
  async (_, name, expected) => {
    const owned = await ownLane('relay', name)
    const toMissing = Array.from({ length: 11_005 }, (_none, index): [LaneRow, PublishOutcome] => [
      { ...row(BigInt(index + 1)), exchange: '', routingKey: `missing ${index}`, orderingKey: `key ${index}` },
      unroutable,
    ])
    const { left } = await settle(owned, new Map(toMissing), { ...means, parkAfter: 1 })
    expect({ left, held: owned.held.waiting().length }).toEqual(expected)
  },
)
