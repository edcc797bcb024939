import pg from 'pg'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { registerLane } from '../../register/register-lane.ts'
import { ownLane } from '../../../test/own-lane.ts'
import { database, lane, useLane } from '../../../test/use-lane.ts'
import { openControlSession } from './control-session.ts'
import { findLastOrphans, findOrphans } from './find-orphans.ts'
import { freeLaneLock, tryLaneLock } from './lane-lock.ts'
import { createOrphanWatch } from './orphan-watch.ts'

useLane()

// Those of other tests have rows, or had some.
beforeEach(async () => {
  await lane.db.query('delete from outbox_message')
  await lane.db.query('delete from outbox_lane where id <> $1', [lane.id])
})

const insert = (into: number, rows: number) =>
  lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, payload)
     select $1, gen_random_uuid(), 'any', '1' from generate_series(1, $2)`,
    [into, rows],
  )

/** Rows that are deleted, and kept by a snapshot to the end of the test. */
const insertDead = async (into: number, rows: number) => {
  await insert(into, rows)
  const pin = new pg.Client(database.url)
  await pin.connect()
  onTestFinished(() => pin.end())
  await pin.query('begin isolation level repeatable read; select from outbox_message limit 1')
  await lane.db.query('delete from outbox_message where lane = $1', [into])
}

test('a look passes what a snapshot keeps of a lane without an owner, and then rests, while others are found at once', async () => {
  const { session } = await ownLane('sweeper')
  await insertDead(lane.id, 20_000)
  let nowMs = 0
  const watch = createOrphanWatch(() => nowMs)
  const find = async () => {
    await lane.forgetReads()
    const found = await findOrphans(session, watch, 10)
    await session.query({ text: 'select pg_stat_force_next_flush()' }, [])
    return { found: found.map((one) => one.lane), read: await lane.rowsRead('outbox_message') }
  }
  expect(await find()).toMatchObject({ found: [] })
  expect(watch.resting()).toEqual([lane.id])
  const other = await registerLane(lane.db, `${lane.name} other`)
  await insert(other, 1)
  await insert(lane.id, 1)
  const { found, read } = await find()
  expect(found).toEqual([other])
  expect(read).toBeLessThan(100)
  nowMs = 3_600_000
  expect(new Set((await find()).found)).toEqual(new Set([lane.id, other]))
})

test('where the time is over after one lane that takes long, each of the others has its turn', async () => {
  const { session } = await ownLane('sweeper')
  const lanes = [lane.id]
  for (const name of ['one', 'other']) lanes.push(await registerLane(lane.db, `${lane.name} ${name}`))
  for (const one of lanes) await insertDead(one, 20_000)
  const watch = createOrphanWatch(() => 0)
  for (let sweep = 1; sweep <= lanes.length; sweep += 1) {
    expect(await findOrphans(session, watch, 10, 0)).toEqual([])
    expect(watch.resting()).toHaveLength(sweep)
  }
})

test('a lane that has an owner meanwhile is looked into as soon as that is gone', async () => {
  const [{ session }, owner] = [await ownLane('sweeper'), await openControlSession(database.url, 'owner')]
  onTestFinished(owner.close)
  await insertDead(lane.id, 20_000)
  const watch = createOrphanWatch(() => 0)
  expect(await findOrphans(session, watch, 10)).toEqual([])
  expect(watch.resting()).toEqual([lane.id])
  expect(await tryLaneLock(owner, 'owner', lane.id)).toBe(true)
  expect(await findOrphans(session, watch, 10)).toEqual([])
  await insert(lane.id, 1)
  await freeLaneLock(owner, 'owner', lane.id)
  expect(await findOrphans(session, watch, 10)).toMatchObject([{ lane: lane.id }])
})

test('a turn by hand looks into every lane, also into one that took long just before', async () => {
  const relay = lane.relay({ adopt: true })
  const other = await registerLane(lane.db, `${lane.name} other`)
  await insertDead(other, 20_000)
  expect(await relay.runOnce()).toMatchObject({ read: 0 })
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, payload) values ($1, gen_random_uuid(), $2, '1')`,
    [other, lane.name],
  )
  expect(await relay.runOnce()).toMatchObject({ read: 1, confirmed: 1 })
})

test('of the lanes that a relay had, those that are in no register any more are left out, and those that somebody owns', async () => {
  const [{ session }, other] = [await ownLane('sweeper'), await openControlSession(database.url, 'other')]
  onTestFinished(other.close)
  const [free, owned, removed] = [
    await registerLane(lane.db, 'free'),
    await registerLane(lane.db, 'owned'),
    await registerLane(lane.db, 'removed'),
  ]
  expect(await tryLaneLock(other, 'owner', owned)).toBe(true)
  await lane.db.query('delete from outbox_lane where id = $1', [removed])
  const had = [free, owned, removed, ...Array.from({ length: 10_000 }, (_, index) => removed + 1 + index)]
  const orphans = await findLastOrphans(session, had)
  expect(orphans.map((orphan) => [orphan.lane.name, orphan.isHeld])).toEqual([['free', false]])
})
