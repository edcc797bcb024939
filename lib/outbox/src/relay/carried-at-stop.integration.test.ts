import { startProxy, waitFor } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { sleepers } from '../../test/lane-under-test.ts'
import {
  addLane,
  adopters,
  areAllAsleep,
  endless,
  fill,
  hasLeft,
  keepFilled,
  keyedFor,
  keyedLeft,
  keyLanesOf,
  openNeighbour,
  patient,
  startTwo,
  tookLanes,
  type WatchedRelay,
  window,
} from '../../test/stops.ts'
import { database, lane, useLane, vhost } from '../../test/use-lane.ts'
import { lockClasses } from './own/lane-lock.ts'
import { neighbourLocks } from './own/neighbours.ts'

// What a relay carries at its stop that nobody else would.

useLane()

/** When a relay, `outbox relay` and its name, asked last for lanes of keys that it might carry to their end. */
const asksForKeys = async (relay: string) => {
  const { rows } = await lane.db.query<{ time: string }>(
    `select query_start::text as time from pg_stat_activity
     where application_name = $1 and query like '%as held from outbox_lane%'`,
    [`outbox relay ${relay}`],
  )
  return rows.map(({ time }) => time)
}

test('a relay that is alone carries what the lanes hold that it adopted, and those of keys, before it ends', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const always = await addLane()
  const relay = lane.relay({ rabbitmqUrl: proxy.url, adopt: true, window })
  await relay.start()
  await waitFor(areAllAsleep, patient)
  proxy.pause()
  await fill(always.id, 100)
  await lane.commit(...keyedFor(lane.name))
  const stopped = relay.stop({ graceMs: endless })
  proxy.resume()
  await stopped
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect([await always.rowsLeft(), await keyedLeft()]).toEqual([0, 0])
  expect(await lane.count(lane.name)).toBe(200)
}, 120_000)

test('one that is alone, and is stopped as soon as it has started, carries what the lanes of keys hold', async () => {
  await lane.commit(...keyedFor(lane.name))
  const relay = lane.relay({ adopt: true })
  await relay.start()
  await relay.stop({ graceMs: endless })
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await lane.count(lane.name)).toBe(100)
})

test('of two without a broker the one that stops first leaves the lanes of no pod, and the last one waits with them', async () => {
  const always = await addLane()
  await fill(always.id, 100)
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  proxy.cut()
  const [first, last] = [lane.relay({ rabbitmqUrl: proxy.url, adopt: true }), await openNeighbour(proxy.url)]
  await Promise.all([first.start(), last.start()])
  await waitFor(async () => (await adopters()) === 2)
  await lane.commit(...keyedFor(lane.name))
  await first.stop({ graceMs: endless })
  expect(await lane.count(lane.name)).toBe(0)
  const stopped = last.stop({ graceMs: endless })
  proxy.resume()
  await stopped
  expect(last.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await always.rowsLeft()).toBe(0)
  expect(await lane.count(lane.name)).toBe(200)
})

test('one that is alone carries at its end what came into the lanes of keys when it had emptied them', async () => {
  await lane.declareQueue(`${lane.name} own`)
  const relay = lane.relay({ adopt: true })
  await relay.start()
  await waitFor(areAllAsleep, patient)
  const endOwn = await keepFilled(lane.id, `${lane.name} own`)
  const stopped = relay.stop({ graceMs: endless })
  await hasLeft(relay, 0)
  await waitFor(async () => (await sleepers(lane.db)).length === 0, patient)
  // Each lane has its turn at the session: by then those of keys have had their last ones.
  const before = await lane.count(`${lane.name} own`)
  await waitFor(async () => (await lane.count(`${lane.name} own`)) > before + 20, patient)
  await lane.commit(...keyedFor(lane.name))
  await endOwn()
  await stopped
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await keyedLeft()).toBe(0)
  expect(await lane.count(lane.name)).toBe(100)
}, 120_000)

test('one that is alone carries at its end what came into its own lane while it emptied others', async () => {
  const always = await addLane()
  const relay = lane.relay({ adopt: true })
  await relay.start()
  await waitFor(areAllAsleep, patient)
  await lane.declareQueue(`${lane.name} always`)
  const endAlways = await keepFilled(always.id, `${lane.name} always`)
  const stopped = relay.stop({ graceMs: endless })
  await hasLeft(relay, 0)
  await waitFor(async () => (await sleepers(lane.db)).length === 0, patient)
  // Each lane has its turn at the session: by then its own has had its last one.
  const before = await lane.count(`${lane.name} always`)
  await waitFor(async () => (await lane.count(`${lane.name} always`)) > before + 20, patient)
  await lane.commit({ routingKey: lane.name, payload: 'late' })
  await endAlways()
  await stopped
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await lane.count(lane.name)).toBe(1)
}, 120_000)

test('and while it waited for lanes that somebody else is about to leave, when it had no other', async () => {
  const leaving = new pg.Client(database.url)
  await leaving.connect()
  onTestFinished(() => leaving.end())
  await leaving.query(
    `select pg_advisory_lock($1, id), pg_advisory_lock_shared($2, $3) from outbox_lane where kind <> 'pod'`,
    [lockClasses.owner, lockClasses.adopter, neighbourLocks.leaving],
  )
  await lane.commit({ routingKey: lane.name, payload: 'there', orderingKey: 'one' })
  const relay = lane.relay({ adopt: true })
  await relay.start()
  await waitFor(() => lane.isAsleep(), patient)
  const stopped = relay.stop({ graceMs: endless })
  const asked = new Set<string>()
  await waitFor(async () => {
    for (const time of await asksForKeys(lane.name)) asked.add(time)
    return asked.size > 5
  }, patient)
  await lane.commit({ routingKey: lane.name, payload: 'late' })
  await leaving.query('select pg_advisory_unlock_all()')
  await stopped
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect([await lane.rows(), await keyedLeft()]).toEqual([0, 0])
}, 120_000)

test('one whose grace ends before that does not say that its lanes were emptied', async () => {
  const always = await addLane()
  await keepFilled(always.id)
  const relay = lane.relay({ adopt: true })
  await relay.start()
  await waitFor(() => tookLanes(relay).includes(always.name), patient)
  await relay.stop({ graceMs: 0 })
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: false }])
  expect(await always.rowsLeft()).toBe(1)
}, 120_000)

test('a lane that is about to be left is looked into once by who waits for it, whatever a snapshot keeps there', async () => {
  const [pin, leaving] = [new pg.Client(database.url), new pg.Client(database.url)]
  await Promise.all([pin.connect(), leaving.connect()])
  onTestFinished(async () => {
    await Promise.all([pin.end(), leaving.end()])
  })
  const insert = (rows: number) =>
    lane.db.query(
      `insert into outbox_message (lane, message_id, routing_key, ordering_key, payload)
       select id, gen_random_uuid(), $1, 'a', '1' from outbox_lane, generate_series(1, $2) where name = 'key 1'`,
      [lane.name, rows],
    )
  await insert(5_000)
  await pin.query('begin isolation level repeatable read; select from outbox_message limit 1')
  await lane.db.query('delete from outbox_message')
  await insert(1)
  await leaving.query(
    `select pg_advisory_lock($1, id), pg_advisory_lock_shared($2, $3) from outbox_lane where name = 'key 1'`,
    [lockClasses.owner, lockClasses.adopter, neighbourLocks.leaving],
  )
  const relay = lane.relay({ adopt: true })
  await relay.start()
  await waitFor(() => keyLanesOf(relay) === 7, patient)
  await lane.forgetReads()
  const stopped = relay.stop({ graceMs: endless })
  const asked = new Set<string>()
  await waitFor(async () => {
    for (const time of await asksForKeys(lane.name)) asked.add(time)
    return asked.size > 15
  }, patient)
  // Once by the look and, in case of chance, by a sweep that was under way.
  expect(await lane.rowsRead('outbox_message')).toBeLessThan(3 * 5_000)
  await leaving.end()
  await stopped
  expect(await keyedLeft()).toBe(0)
}, 180_000)

/** Stops one that cannot leave its lanes yet, then its neighbour, until that has asked for them twice and waits. */
const stopTogether = async (first: WatchedRelay, neighbour: WatchedRelay, name = `${lane.name} neighbour`) => {
  const stoppedFirst = first.stop({ graceMs: endless })
  // Where neither saw the other, each would keep its lanes.
  await hasLeft(first, 1)
  const stoppedNeighbour = neighbour.stop({ graceMs: endless })
  const asked = new Set<string>()
  await waitFor(async () => {
    for (const time of await asksForKeys(name)) asked.add(time)
    return asked.size > 1 || neighbour.saw('relay.stopped').length > 0
  }, patient)
  expect(neighbour.saw('relay.stopped')).toEqual([])
  return [stoppedFirst, stoppedNeighbour]
}

test('of two that stop together the last one waits for what the first one leaves, and carries it', async () => {
  const { proxy, first, other } = await startTwo()
  proxy.pause()
  await lane.commit(...keyedFor(lane.name))
  // Each key's first message is on its way, so that the first relay cannot leave the lanes yet.
  const stopped = await stopTogether(first, other)
  proxy.cut()
  proxy.resume()
  await Promise.all(stopped)
  expect(other.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  const taken = (await lane.take(lane.name)).map(({ messageId }) => messageId)
  expect(new Set(taken).size).toBe(100)
}, 180_000)

test('one whose own lane a neighbour has, which stops just before it, waits for that lane and carries it', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const [neighbour, relay] = [await openNeighbour(proxy.url), lane.relay({ adopt: true })]
  await neighbour.start()
  const endFilling = await keepFilled(lane.id)
  await waitFor(() => tookLanes(neighbour).includes(lane.name), patient)
  // A message without its confirm keeps the lane there.
  proxy.pause()
  await fill(lane.id, 1)
  await endFilling()
  await relay.start()
  await waitFor(() => relay.saw('relay.waiting').length > 0, patient)
  const stopped = await stopTogether(neighbour, relay, lane.name)
  proxy.cut()
  proxy.resume()
  await Promise.all(stopped)
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await lane.rows()).toBe(0)
}, 180_000)

test('one without a broker that stops beside another waits no longer for a lane which the other one has emptied', async () => {
  const cut = await startProxy(vhost.url)
  onTestFinished(cut.stop)
  const { proxy, first, other } = await startTwo(await openNeighbour(cut.url))
  // A message without its confirm keeps its lane with the first one.
  proxy.pause()
  await lane.commit({ routingKey: lane.name, payload: 1, orderingKey: 'one' })
  await waitFor(async () => (await lane.count(lane.name)) === 1, patient)
  cut.cut()
  const stopped = await stopTogether(first, other)
  proxy.resume()
  await Promise.all(stopped)
  expect(other.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await keyedLeft()).toBe(0)
}, 180_000)
