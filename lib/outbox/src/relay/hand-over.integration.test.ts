import { startProxy, waitFor } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { registerLane } from '../index.ts'
import { openLane } from '../../test/lane-under-test.ts'
import { database, lane, useLane, vhost } from '../../test/use-lane.ts'
import { lockClasses } from './own/lane-lock.ts'
import { neighbourLocks } from './own/neighbours.ts'

useLane()

/** Longer than any test may take: a relay that waits for the end of its grace fails it. */
const endless = 60_000

/** A lane that the relay adopts, with rows, and how many of them are left. */
const addLaneToAdopt = async (rows: number, kind: 'always' | 'pod' = 'always') => {
  const id = await registerLane(lane.db, `${lane.name} ${kind}`, kind)
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, payload)
     select $1, gen_random_uuid(), $2, '1' from generate_series(1, $3)`,
    [id, lane.name, rows],
  )
  return async () => (await lane.db.query('select from outbox_message where lane = $1', [id])).rowCount ?? 0
}

/** A relay with a lane of its own. */
const openNeighbour = async (rabbitmqUrl = vhost.url) => {
  const neighbour = await openLane(`${lane.name} neighbour`, { databaseUrl: database.url, rabbitmqUrl: vhost.url })
  onTestFinished(neighbour.close)
  return neighbour.relay({ rabbitmqUrl, adopt: true })
}

/** How many relays of the database adopt lanes. */
const adopters = async () => {
  const { rowCount } = await lane.db.query(
    `select from pg_locks
     where classid::bigint = $1 and objid::bigint = $2 and granted
       and database = (select oid from pg_database where datname = current_database())`,
    [lockClasses.adopter, neighbourLocks.adopting],
  )
  return rowCount
}

const keyedFor = (queue: string) =>
  Array.from({ length: 100 }, (_, index) => ({ routingKey: queue, payload: index, orderingKey: `key ${index % 10}` }))

test('a relay that is alone carries what the lanes hold that it adopted, and those of keys, before it ends', async () => {
  const rowsLeft = await addLaneToAdopt(500)
  const relay = lane.relay({ adopt: true, window: 4 })
  await relay.start()
  await waitFor(async () => (await rowsLeft()) < 500)
  const lanes = () => relay.saw('relay.owned').map((owned) => ('lane' in owned ? owned.lane : ''))
  await waitFor(() => lanes().filter((name) => name.startsWith('key ')).length === 8)
  await lane.commit(...keyedFor(lane.name))
  await relay.stop({ graceMs: 60_000 })
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect((await lane.db.query('select from outbox_message where routing_key = $1', [lane.name])).rowCount).toBe(0)
  expect(await lane.count(lane.name)).toBe(600)
})

test('one that is alone, and is stopped as soon as it has started, carries what the lanes of keys hold', async () => {
  await lane.commit(...keyedFor(lane.name))
  const relay = lane.relay({ adopt: true })
  await relay.start()
  await relay.stop({ graceMs: endless })
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await lane.count(lane.name)).toBe(100)
})

test('of two without a broker the one that stops first leaves the lanes of no pod, and the last one waits with them', async () => {
  const rowsLeft = await addLaneToAdopt(100)
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
  expect(await rowsLeft()).toBe(0)
  expect(await lane.count(lane.name)).toBe(200)
})

test('one whose grace ends before that does not say that its lanes were emptied', async () => {
  const rowsLeft = await addLaneToAdopt(10_000)
  const relay = lane.relay({ adopt: true, window: 4 })
  await relay.start()
  await waitFor(async () => (await rowsLeft()) < 10_000)
  await relay.stop({ graceMs: 0 })
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: false }])
  expect(await rowsLeft()).toBeGreaterThan(0)
})

test('a lane that was adopted is left to the neighbours at once, with its rows', async () => {
  const relay = lane.relay({ adopt: true, window: 4 })
  await relay.start()
  const rowsLeft = await addLaneToAdopt(10_000)
  await waitFor(async () => (await rowsLeft()) < 10_000)
  const other = await openNeighbour()
  await other.start()
  await waitFor(() => other.saw('relay.owned').length > 0)
  await relay.stop({ graceMs: 60_000 })
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: false }])
  const left = await rowsLeft()
  expect(left).toBeGreaterThan(0)
  await waitFor(async () => (await rowsLeft()) < left)
})

test('a lane that is left to a neighbour is not let go before what was confirmed is deleted', async () => {
  const rowsLeft = await addLaneToAdopt(1)
  await lane.db.query(`create function refuse() returns trigger language plpgsql as $$ begin raise 'not now'; end $$`)
  // Only of these rows: there are lanes of other tests.
  await lane.db.query(
    `create trigger refuse before delete on outbox_message
     for each row when (old.routing_key = '${lane.name}') execute function refuse()`,
  )
  const [relay, other] = [lane.relay({ adopt: true }), await openNeighbour()]
  await relay.start()
  await waitFor(() => relay.saw('relay.failed').length > 0)
  await other.start()
  await waitFor(async () => (await adopters()) === 2)
  const stopped = relay.stop({ graceMs: endless })
  /** How often the relay began to try: in its pass, and before it lets the lane go. */
  const begun = () => relay.saw('relay.failed').filter((failed) => 'attempt' in failed && failed.attempt === 1).length
  const released = () => relay.saw('relay.released').map((seen) => ('lane' in seen ? seen.lane : ''))
  await waitFor(() => begun() === 2 || released().includes(`${lane.name} always`))
  expect(released()).not.toContain(`${lane.name} always`)
  await lane.db.query('drop function refuse cascade')
  await stopped
  expect(await rowsLeft()).toBe(0)
  expect(await lane.count(lane.name)).toBe(1)
})

const keyLanesOf = (relay: ReturnType<typeof lane.relay>) =>
  relay.saw('relay.owned').filter((owned) => 'lane' in owned && owned.lane.startsWith('key ')).length

const ownsKeyLanes = (relay: ReturnType<typeof lane.relay>) => () => keyLanesOf(relay) === 8

/** Rows of the relay's own lane, which take it a while. */
const addOwnRows = (rows: number) =>
  lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, payload)
     select $1, gen_random_uuid(), $2, '1' from generate_series(1, $3)`,
    [lane.id, `${lane.name} own`, rows],
  )

const patient = { deadlineMs: 60_000 }

/** Ends the relay's session at Postgres. */
const endSession = () =>
  lane.db.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
    `outbox relay ${lane.name}`,
  ])

test('one that is alone and loses its session at Postgres in its stop takes the lanes again that it carried', async () => {
  await lane.declareQueue(`${lane.name} own`)
  // There are lanes of other tests.
  await lane.db.query('delete from outbox_message')
  await addOwnRows(500)
  const rowsLeft = await addLaneToAdopt(1_000, 'pod')
  const relay = lane.relay({ adopt: true, window: 4 })
  await relay.start()
  await waitFor(async () => (await rowsLeft()) < 1_000)
  const stopped = relay.stop({ graceMs: endless })
  await lane.commit(...keyedFor(lane.name))
  await endSession()
  await stopped
  expect(relay.saw('relay.lost')).toHaveLength(1)
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect((await lane.db.query('select from outbox_message')).rowCount).toBe(0)
}, 180_000)

test('a session that was lost, and lives on at Postgres, is no neighbour and keeps no lane from a stop', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const relay = lane.relay({ databaseUrl: proxy.url, adopt: true })
  await relay.start()
  await waitFor(ownsKeyLanes(relay), patient)
  proxy.breakForClients()
  await waitFor(() => relay.saw('relay.lost').length === 1)
  await lane.commit(...keyedFor(lane.name), { routingKey: lane.name, payload: 'own' })
  await relay.stop({ graceMs: endless })
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await lane.count(lane.name)).toBe(101)
}, 120_000)

test('a session that was lost is not forgotten while it lives on at Postgres, however many came after it', async () => {
  const [proxy, blocker] = [await startProxy(database.url), new pg.Client(database.url)]
  await blocker.connect()
  onTestFinished(async () => {
    await Promise.all([proxy.stop(), blocker.end()])
  })
  const relay = lane.relay({ databaseUrl: proxy.url, adopt: true })
  await relay.start()
  await waitFor(ownsKeyLanes(relay), patient)
  // The first session is in the middle of a delete, and so lives on for longer than those that come after it.
  await blocker.query('select pg_advisory_lock(4711)')
  await lane.db.query(
    `create function wait() returns trigger language plpgsql as
     $$ begin perform pg_advisory_xact_lock(4711); return old; end $$`,
  )
  await lane.db.query(
    `create trigger wait before delete on outbox_message
     for each row when (old.routing_key = '${lane.name}') execute function wait()`,
  )
  await lane.commit({ routingKey: lane.name, payload: 'first' })
  const sessions = async (condition: string) => {
    const { rowCount } = await lane.db.query(
      `select from pg_stat_activity where application_name = $1 and ${condition}`,
      [`outbox relay ${lane.name}`],
    )
    return rowCount
  }
  await waitFor(async () => (await sessions(`wait_event = 'advisory'`)) === 1, patient)
  for (let lost = 1; lost < 5; lost += 1) {
    await waitFor(() => relay.state().database === 'up', patient)
    proxy.breakForClients()
    await waitFor(() => relay.saw('relay.lost').length === lost, patient)
  }
  await lane.commit(...keyedFor(lane.name))
  const stopped = relay.stop({ graceMs: endless })
  // The first and the last one; or it has ended, since it took the first for a neighbour.
  await waitFor(async () => Number(await sessions('true')) <= 2 || relay.saw('relay.stopped').length > 0, patient)
  await blocker.query('select pg_advisory_unlock(4711)')
  await stopped
  await lane.db.query('drop function wait cascade')
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await lane.rows()).toBe(0)
  expect(await keyedLeft()).toBe(0)
}, 120_000)

test('a stop ends with its grace also where Postgres says nothing of the sessions that were lost', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const relay = lane.relay({ databaseUrl: proxy.url, adopt: true })
  await relay.start()
  for (let lost = 1; lost < 5; lost += 1) {
    await waitFor(() => relay.state().database === 'up', patient)
    // Of more than three it is asked whether the first ones are still there.
    if (lost === 4) proxy.pauseBehind('with ordinality as former')
    proxy.breakForClients()
    await waitFor(() => relay.saw('relay.lost').length === lost, patient)
  }
  const isAsked = async () => {
    const { rowCount } = await lane.db.query(
      `select from pg_stat_activity where application_name = $1 and query like '%with ordinality as former%'`,
      [`outbox relay ${lane.name}`],
    )
    return rowCount !== 0
  }
  await waitFor(isAsked, patient)
  await relay.stop({ graceMs: 500 })
  const [stopped] = relay.saw('relay.stopped')
  expect(stopped).toMatchObject({ emptied: false })
  // Without an end of its own the statement is given up after 30 s.
  expect(stopped !== undefined && 'ms' in stopped ? stopped.ms : endless).toBeLessThan(15_000)
}, 120_000)

/** Resolves when a neighbour has looked for lanes, and found one that is new. */
const hasLooked = async () => {
  const rowsLeft = await addLaneToAdopt(1)
  await waitFor(async () => (await rowsLeft()) === 0, patient)
}

/** How many rows with a key are left. */
const keyedLeft = async () =>
  (await lane.db.query('select from outbox_message where ordering_key is not null')).rowCount ?? 0

/** A relay with the lanes of keys, by a way to RabbitMQ of its own, and a neighbour that takes what it leaves. */
const startTwo = async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const [first, other] = [lane.relay({ rabbitmqUrl: proxy.url, adopt: true }), await openNeighbour()]
  await first.start()
  await waitFor(ownsKeyLanes(first), patient)
  await other.start()
  await waitFor(async () => (await adopters()) === 2, patient)
  return { proxy, first, other }
}

test('a key whose message has no confirm yet is handed over after that, with its messages once and in order', async () => {
  const { proxy, first, other } = await startTwo()
  proxy.pause()
  const numbers = Array.from({ length: 50 }, (_, index) => index)
  await lane.commit(...numbers.map((payload) => ({ routingKey: lane.name, payload, orderingKey: 'one' })))
  await waitFor(async () => (await lane.count(lane.name)) === 1, patient)
  const stopped = first.stop({ graceMs: endless })
  await waitFor(async () => (await adopters()) === 1, patient)
  await hasLooked()
  expect(keyLanesOf(other)).toBe(0)
  proxy.resume()
  await stopped
  await waitFor(async () => (await keyedLeft()) === 0, patient)
  // One is that of the other lane.
  const taken = (await lane.take(lane.name)).map(({ payload }) => payload)
  expect(taken.toSpliced(1, 1)).toEqual(numbers)
}, 180_000)

test('a lane of keys has no owner until RabbitMQ has closed the channel of the former one, and its queue is free then', async () => {
  const { proxy, first, other } = await startTwo()
  // What a client gives as its reason when it closes a channel.
  proxy.pauseBehind('Goodbye')
  const stopped = first.stop({ graceMs: endless })
  await waitFor(async () => (await adopters()) === 1, patient)
  await hasLooked()
  expect(keyLanesOf(other)).toBe(0)
  proxy.resume()
  await waitFor(ownsKeyLanes(other), patient)
  await stopped
  expect(other.saw('relay.fenced')).toEqual([])
}, 180_000)

/** When the relay asked last for lanes of keys that it might carry to their end. */
const asksForKeys = async (relay: string) => {
  const { rows } = await lane.db.query<{ time: string }>(
    `select query_start::text as time from pg_stat_activity
     where application_name = $1 and query like '%as held from outbox_lane%'`,
    [`outbox relay ${relay}`],
  )
  return rows.map(({ time }) => time)
}

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

/** Whether the relay is at the statement by which it leaves those who adopt. */
const isLeaving = async (relay: string) => {
  const { rowCount } = await lane.db.query(
    `select from pg_stat_activity
     where application_name = $1 and query like '%with gone as%as there%' and state = 'active'`,
    [`outbox relay ${relay}`],
  )
  return rowCount !== 0
}

test('the lanes of keys that are left to a neighbour are its own while the first relay still empties its own', async () => {
  await lane.declareQueue(`${lane.name} own`)
  const [first, other] = [lane.relay({ adopt: true, window: 4 }), await openNeighbour()]
  await first.start()
  await waitFor(ownsKeyLanes(first), patient)
  await other.start()
  await waitFor(async () => (await adopters()) === 2, patient)
  await addOwnRows(20_000)
  const stopped = first.stop({ graceMs: endless })
  await waitFor(ownsKeyLanes(other), patient)
  await lane.commit(...keyedFor(lane.name))
  await waitFor(async () => (await lane.count(lane.name)) === 100, patient)
  expect(first.saw('relay.stopped')).toEqual([])
  await lane.db.query('delete from outbox_message where lane = $1', [lane.id])
  await stopped
}, 180_000)

test('a neighbour that comes while a relay stops alone has the lanes of keys, and what of those is not emptied yet', async () => {
  await lane.declareQueue(`${lane.name} own`)
  const [first, other] = [lane.relay({ adopt: true, window: 4 }), await openNeighbour()]
  await first.start()
  await waitFor(ownsKeyLanes(first), patient)
  const rowsLeft = await addLaneToAdopt(20_000)
  await waitFor(async () => (await rowsLeft()) < 20_000, patient)
  await addOwnRows(20_000)
  const stopped = first.stop({ graceMs: endless })
  await waitFor(async () => (await adopters()) === 0, patient)
  await waitFor(async () => !(await isLeaving(lane.name)), patient)
  await other.start()
  await waitFor(ownsKeyLanes(other), patient)
  const owned = () => other.saw('relay.owned').map((seen) => ('lane' in seen ? seen.lane : ''))
  await waitFor(() => owned().includes(`${lane.name} always`), patient)
  await lane.commit(...keyedFor(lane.name))
  await waitFor(async () => (await keyedLeft()) === 0, patient)
  expect(first.saw('relay.stopped')).toEqual([])
  await lane.db.query('delete from outbox_message where lane = $1', [lane.id])
  await stopped
}, 180_000)

/** Stops one that cannot leave its lanes yet, then its neighbour, until that has asked for them twice and waits. */
const stopTogether = async (first: ReturnType<typeof lane.relay>, neighbour: ReturnType<typeof lane.relay>) => {
  const stoppedFirst = first.stop({ graceMs: endless })
  await waitFor(async () => (await adopters()) === 1, patient)
  // It has seen its neighbour by the end of that statement. Where neither saw the other, each would keep its lanes.
  await waitFor(async () => !(await isLeaving(lane.name)), patient)
  const stoppedNeighbour = neighbour.stop({ graceMs: endless })
  const asked = new Set<string>()
  await waitFor(async () => {
    for (const time of await asksForKeys(`${lane.name} neighbour`)) asked.add(time)
    return asked.size > 1 || neighbour.saw('relay.stopped').length > 0
  }, patient)
  expect(neighbour.saw('relay.stopped')).toEqual([])
  return [stoppedFirst, stoppedNeighbour]
}

test('of two that stop together the last one waits for what the first one leaves, and carries it', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const [first, last] = [lane.relay({ rabbitmqUrl: proxy.url, adopt: true, window: 4 }), await openNeighbour()]
  await first.start()
  await waitFor(ownsKeyLanes(first), patient)
  await last.start()
  await waitFor(async () => (await adopters()) === 2, patient)
  proxy.pause()
  await lane.commit(...keyedFor(lane.name))
  // Each key's first message is on its way, so that the first relay cannot leave the lanes yet.
  const stopped = await stopTogether(first, last)
  proxy.cut()
  proxy.resume()
  await Promise.all(stopped)
  expect(last.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  const taken = (await lane.take(lane.name)).map(({ messageId }) => messageId)
  expect(new Set(taken).size).toBe(100)
}, 180_000)

test('one without a broker that stops beside another waits no longer for a lane which the other one has emptied', async () => {
  const [proxy, cut] = [await startProxy(vhost.url), await startProxy(vhost.url)]
  onTestFinished(async () => {
    await Promise.all([proxy.stop(), cut.stop()])
  })
  const [first, last] = [lane.relay({ rabbitmqUrl: proxy.url, adopt: true }), await openNeighbour(cut.url)]
  await first.start()
  await waitFor(ownsKeyLanes(first), patient)
  await last.start()
  await waitFor(async () => (await adopters()) === 2, patient)
  // A message without its confirm keeps its lane with the first one.
  proxy.pause()
  await lane.commit({ routingKey: lane.name, payload: 1, orderingKey: 'one' })
  await waitFor(async () => (await lane.count(lane.name)) === 1, patient)
  cut.cut()
  const stopped = await stopTogether(first, last)
  proxy.resume()
  await Promise.all(stopped)
  expect(last.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  expect(await keyedLeft()).toBe(0)
}, 180_000)
