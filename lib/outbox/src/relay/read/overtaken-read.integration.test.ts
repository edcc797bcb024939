import pg from 'pg'
import { afterEach, expect, onTestFinished, test } from 'vitest'
import { enqueue } from '../../enqueue/enqueue.ts'
import { ownLane } from '../../../test/own-lane.ts'
import { database, lane, useLane } from '../../../test/use-lane.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import { lookAtLanes } from './look-at-lanes.ts'
import { measureBacklog } from './measure-backlog.ts'
import { readFromFloor } from './read-lane.ts'

useLane()

afterEach(() => lane.db.query('truncate outbox_message'))

const long = { firstMs: 600_000, capMs: 600_000 }

const message = (payload: unknown, exchange = '') => ({ exchange, routingKey: 'any', payload })

const idsOf = async (of = lane.id): Promise<bigint[]> => {
  const { rows } = await lane.db.query<{ id: string }>('select id from outbox_message where lane = $1 order by id', [
    of,
  ])
  return rows.map(({ id }) => BigInt(id))
}

/** The lane, of which something happens after each read has been answered, and before it is taken notice of. */
const whileRead = (owned: OwnedLane, happen: () => void | Promise<void>): OwnedLane => ({
  ...owned,
  session: {
    ...owned.session,
    query: async (...asked) => {
      const answer = await owned.session.query(...asked)
      if (asked[0].name?.startsWith('read') === true) await happen()
      return answer
    },
  },
})

/** No transaction is open that could bring a row up to this one. */
const decide = ({ pointers }: OwnedLane, id: bigint) => {
  pointers.sawRow(id)
  pointers.drewXid(1n, id)
  pointers.sawEnded(2n)
}

test('rows whose confirms are lost while a read is on its way are read again', async () => {
  const owned = await ownLane('reader')
  await lane.commit(...[1, 2, 3].map((payload) => message(payload)))
  const { rows } = await readFromFloor(owned, 10)
  decide(owned, rows.at(-1)?.id ?? 0n)
  await lane.commit(message(4))
  const overtaken = whileRead(owned, () => {
    for (const { id } of rows) owned.known.delete(id)
  })
  expect(await readFromFloor(overtaken, 10)).toMatchObject({ rows: [{ payload: '4' }] })
  expect((await readFromFloor(owned, 10)).rows.map(({ payload }) => payload)).toEqual(['1', '2', '3'])
})

test('a row that commits late between the two statements of a read is read again', async () => {
  const owned = await ownLane('reader')
  const slow = new pg.Client(database.url)
  await slow.connect()
  onTestFinished(() => slow.end())
  await slow.query('begin')
  await enqueue(slow, message('slow'), { lane: lane.id })
  // Too large for a light read, so that it is asked for once more.
  await lane.commit(message('large'.repeat(1_000)))
  const [large] = await idsOf()
  owned.pointers.sawRow(large ?? 0n)
  owned.pointers.drewXid(1n, large ?? 0n)
  const overtaken = whileRead(owned, async () => {
    await slow.query('commit')
    owned.pointers.sawEnded(2n)
  })
  expect(await readFromFloor(overtaken, 10)).toMatchObject({ rows: [{ id: large }] })
  expect(await readFromFloor(owned, 10)).toMatchObject({ rows: [{ payload: '"slow"' }] })
})

test('a destination that opens while a read is on its way leaves the rows to be read that this passes over', async () => {
  const owned = await ownLane('reader', lane.name, long)
  await lane.commit(...[1, 2, 3].map((payload) => message(payload, 'closed')))
  const ids = await idsOf()
  const [first, last] = [ids[0] ?? 0n, ids.at(-1) ?? 0n]
  owned.held.hold({ id: first, key: '' }, 'unroutable', { exchange: 'closed', routingKey: 'any' })
  decide(owned, last)
  const overtaken = whileRead(owned, () => owned.held.wentThrough(first))
  expect(await readFromFloor(overtaken, 10)).toMatchObject({ rows: [] })
  expect((await readFromFloor(owned, 10)).rows.map(({ id }) => id)).toEqual(ids)
})

test('a destination that opens is read from where the floor was when it closed, and counted from there while it is closed', async () => {
  const owned = await ownLane('reader', lane.name, long)
  // Nothing brings the first one again: were it read, then from zero.
  await lane.commit(...[1, 2, 3, 4].map((payload) => message(payload, 'closed')))
  const [below = 0n, first = 0n, ...others] = await idsOf()
  decide(owned, below)
  owned.pointers.startRead(null).answered(null, null)
  owned.held.hold({ id: first, key: '' }, 'unroutable', { exchange: 'closed', routingKey: 'any' })
  decide(owned, others.at(-1) ?? 0n)
  expect(await readFromFloor(owned, 10)).toMatchObject({ rows: [] })
  expect(owned.pointers.floor()).toBe(others.at(-1))
  expect(await measureBacklog(owned.session, [owned])).toMatchObject([{ rows: 3 }])
  owned.held.wentThrough(first)
  expect((await readFromFloor(owned, 10)).rows.map(({ id }) => id)).toEqual([first, ...others])
})

test('a look that finds no row lifts the floor, so that the next one does not pass what this one passed', async () => {
  const owned = await ownLane('reader', lane.name, long)
  await lane.commit(message(1, 'closed'), message(2, 'closed'))
  const [first = 0n, last = 0n] = await idsOf()
  owned.held.hold({ id: first, key: '' }, 'unroutable', { exchange: 'closed', routingKey: 'any' })
  decide(owned, last)
  expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: false }])
  expect(owned.pointers.floor()).toBe(last)
  await lane.commit(message(3))
  expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: true }])
})

test('in a key lane a look that finds no row leaves the floor below those that are held back', async () => {
  const owned = await ownLane('reader', 'key 1', long)
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, ordering_key, payload)
     values ($1, gen_random_uuid(), 'any', 'a', '1')`,
    [owned.lane],
  )
  const [id = 0n] = await idsOf(owned.lane)
  owned.held.hold({ id, key: 'a' }, 'unwritable')
  decide(owned, id)
  expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: false }])
  expect(owned.pointers.floor()).toBeLessThan(id)
})
