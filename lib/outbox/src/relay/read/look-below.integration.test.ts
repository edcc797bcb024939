import pg from 'pg'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { ownLane } from '../../../test/own-lane.ts'
import { passesOf } from '../../../test/passes-of.ts'
import { raiseFloor } from '../../../test/raise-floor.ts'
import { database, lane, useLane } from '../../../test/use-lane.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import { deleteConfirmed } from '../settle/delete-confirmed.ts'
import { createBelowWatch } from './below-watch.ts'
import { lookBelow, stretchIds } from './look-below.ts'
import { readFromFloor } from './read-lane.ts'
import { readKeyLane } from './read-key-lane.ts'
import { createReader } from './reader.ts'

const soon = { timeout: 20_000, interval: 20 }

useLane()

afterEach(() => lane.db.query('delete from outbox_message'))

/** A lane whose floor was believed for long enough each time that it is asked. */
const doubtedLane = async (name = lane.name): Promise<OwnedLane> => {
  const owned = await ownLane('looker', name)
  let nowMs = 0
  return { ...owned, below: createBelowWatch(() => (nowMs += 3_600_000)) }
}

const insert = async ({ lane: id }: OwnedLane, count: number, key: string | null = null): Promise<void> => {
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, ordering_key, payload)
     select $1, gen_random_uuid(), $2, $4, '1' from generate_series(1, $3::int)`,
    [id, lane.name, count, key],
  )
}

/** As a transaction may that nobody thought of. */
const insertBelow = async ({ lane: id }: OwnedLane, rowId: bigint, key: string | null = null): Promise<void> => {
  await lane.db.query(
    `insert into outbox_message (lane, id, message_id, routing_key, ordering_key, payload)
     overriding system value values ($1, $2, gen_random_uuid(), $3, $4, '1')`,
    [id, String(rowId), lane.name, key],
  )
}

/** Deletes all that is in the lane, until its floor is at the last of it. */
const drain = async (owned: OwnedLane): Promise<bigint> => {
  const read = () => (owned.kind === 'key' ? readKeyLane(owned, 1_000_000) : readFromFloor(owned, 1_000_000))
  const carry = async () => {
    const { rows } = await read()
    owned.confirmed.push(...rows.map(({ id }) => id))
    await deleteConfirmed(owned)
    await lane.db.query('delete from outbox_message where lane = $1', [owned.lane])
    owned.known.clear()
    // Something to be deleted, so that an xid is drawn.
    await insert(owned, 1, 'last')
    return owned.pointers.floor() > 0n
  }
  await insert(owned, 1, 'last')
  await expect.poll(carry, soon).toBe(true)
  await lane.db.query('delete from outbox_message where lane = $1', [owned.lane])
  return owned.pointers.floor()
}

test('a look passes no more of what a snapshot keeps than a stretch when its time is over, and comes to the end', async () => {
  const owned = await doubtedLane()
  await insert(owned, 50_000)
  const pin = new pg.Client(database.url)
  await pin.connect()
  onTestFinished(() => pin.end())
  await pin.query('begin isolation level repeatable read; select from outbox_message limit 1')
  const floor = await drain(owned)
  expect(floor).toBeGreaterThan(50_000n)
  const passed = async () => {
    await owned.session.query({ text: 'select pg_stat_force_next_flush()' }, [])
    return lane.rowsRead('outbox_message')
  }
  const looks: number[] = []
  for (let place: bigint | null = floor; place !== null;) {
    await passed()
    await lane.forgetReads()
    expect(await lookBelow(owned.session, [owned], 0)).toEqual([])
    looks.push(await passed())
    const next = owned.below.from(floor)
    place = next === floor ? null : next
  }
  expect(looks).toHaveLength(Math.ceil(Number(floor) / stretchIds))
  expect(Math.max(...looks)).toBeLessThanOrEqual(stretchIds)
  expect(looks.reduce((sum, look) => sum + look, 0)).toBeGreaterThanOrEqual(50_000)
  expect(owned.pointers.floor()).toBe(floor)
})

test('rows below the floor are found, whatever lies between, and go out', async () => {
  const owned = await doubtedLane()
  await insert(owned, 20)
  const floor = await drain(owned)
  const pass = await passesOf(owned)
  const lowest = floor - 10n
  await insertBelow(owned, lowest)
  await insertBelow(owned, lowest + 5n)
  expect(await readFromFloor(owned, 10)).toMatchObject({ rows: [] })
  expect(await lookBelow(owned.session, [owned])).toEqual([owned])
  expect(owned.pointers.floor()).toBe(0n)
  const confirmed = async () => {
    await pass()
    return lane.rows()
  }
  await expect.poll(confirmed, soon).toBe(0)
  expect(await lane.count(lane.name)).toBe(2)
})

test('those below the floor of a key lane are found, and go out in their order', async () => {
  const owned = await doubtedLane('key 1')
  await insert(owned, 20, 'a')
  const floor = await drain(owned)
  for (const below of [10n, 5n]) await insertBelow(owned, floor - below, 'a')
  expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [] })
  expect(await lookBelow(owned.session, [owned])).toEqual([owned])
  expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [{ id: floor - 10n }] })
})

test('rows that are held back, on their way or to a closed destination may be below the floor', async () => {
  const owned = await doubtedLane()
  await insert(owned, 20)
  const floor = await drain(owned)
  for (const below of [10n, 9n, 8n]) await insertBelow(owned, floor - below)
  await lane.db.query(`update outbox_message set exchange = 'closed' where id = $1`, [String(floor - 8n)])
  owned.known.set(floor - 10n, '')
  owned.held.hold({ id: floor - 9n, key: '' }, 'unroutable')
  owned.held.hold({ id: floor + 100n, key: '' }, 'unroutable', { exchange: 'closed', routingKey: null })
  expect(await lookBelow(owned.session, [owned])).toEqual([])
  expect(owned.pointers.floor()).toBe(floor)
})

test.each(['looker', 'key 2'])('a reader looks below the floor before it reads from there (lane %s)', async (name) => {
  const owned = await doubtedLane(name === 'looker' ? lane.name : name)
  await insert(owned, 20, 'a')
  const floor = await drain(owned)
  await insertBelow(owned, floor - 10n, 'a')
  expect(await createReader(owned, 10)()).toMatchObject({ rows: [{ id: floor - 10n }] })
})

test('where there is time for one stretch, lanes have them in turn, and all come to the end', async () => {
  let nowMs = 0
  const floor = 3n * BigInt(stretchIds)
  const lanes: OwnedLane[] = []
  for (const name of [lane.name, `${lane.name} other`]) {
    const owned = await ownLane('looker', name)
    raiseFloor(owned.pointers, floor)
    lanes.push({ ...owned, below: createBelowWatch(() => nowMs) })
  }
  const [first] = lanes
  if (first === undefined) throw new Error('there is no lane')
  const stretchesLeft: number[][] = []
  for (let look = 1; look <= 6; look += 1) {
    nowMs += 3_600_000
    expect(await lookBelow(first.session, lanes, 0)).toEqual([])
    nowMs += 3_600_000
    // One that has come to the end begins at the floor again.
    stretchesLeft.push(lanes.map(({ below }) => Number(below.from(floor)) / stretchIds))
  }
  expect(stretchesLeft).toEqual([
    [2, 3],
    [2, 2],
    [1, 2],
    [1, 1],
    [3, 1],
    [3, 3],
  ])
})

test('how long a look stood in line for the session does not keep the next one from its turn', async () => {
  const owned = await ownLane('looker')
  const floor = 3n * BigInt(stretchIds)
  raiseFloor(owned.pointers, floor)
  let nowMs = performance.now() + 3_600_000
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs)
  onTestFinished(() => void vi.restoreAllMocks())
  const looking = lookBelow(owned.session, [owned], 0)
  // An hour goes by while other statements have the session.
  nowMs += 3_600_000
  expect(await looking).toEqual([])
  // Twenty times as long as a look takes that is very slow.
  nowMs += 20 * 60_000
  expect(owned.below.from(floor)).toBe(floor - BigInt(stretchIds))
})
