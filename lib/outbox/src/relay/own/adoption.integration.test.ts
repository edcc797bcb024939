import { runOn, startProxy, waitFor } from '@esteira/test/support'
import amqplib from 'amqplib'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { registerLane } from '../../register/register-lane.ts'
import { lockClasses } from './lane-lock.ts'
import { areAllAsleep, patient } from '../../../test/stops.ts'
import { database, lane, useLane, vhost } from '../../../test/use-lane.ts'

const soon = { timeout: 15_000, interval: 20 }

useLane()

const message = (payload: unknown) => ({ routingKey: lane.name, payload })
const neighbour = (options = {}) => lane.relay({ lane: `${lane.name} neighbour`, adopt: true, ...options })

test('rows of a lane without an owner are carried by a neighbour, which gives the lane up when it is empty', async () => {
  await lane.commit(message(1), message(2))
  const relay = neighbour()
  await relay.start()
  await expect.poll(() => lane.rows(), soon).toBe(0)
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual([1, 2])
  await expect.poll(() => relay.saw('relay.released'), soon).toMatchObject([{ lane: lane.name, reason: 'empty' }])
  const owner = lane.relay()
  expect(await owner.runOnce()).toMatchObject({ kind: 'done' })
})

test('a scheduled row of a lane without an owner goes out when it is due', async () => {
  await lane.commit({ ...message('later'), delayMs: 1_000 })
  const relay = neighbour()
  await relay.start()
  await expect.poll(() => lane.rows('outbox_scheduled'), soon).toBe(0)
  await expect.poll(() => lane.count(lane.name), soon).toBe(1)
})

test('lanes that cannot be emptied do not keep a relay from others', async () => {
  const dead = Array.from({ length: 40 }, (_, index) => `${lane.name} dead ${index}`)
  await lane.db.query(
    `with dead as (insert into outbox_lane (name) select unnest($1::text[]) returning id)
     insert into outbox_message (lane, message_id, routing_key, payload)
     select id, gen_random_uuid(), $2, '1' from dead`,
    [dead, `${lane.name}.missing`],
  )
  const relay = neighbour()
  await relay.start()
  const carried = () => relay.saw('relay.owned').filter((owned) => 'lane' in owned && dead.includes(owned.lane)).length
  await expect.poll(carried, { timeout: 30_000, interval: 50 }).toBe(40)
  await lane.commit(message('good'))
  await expect.poll(() => lane.rows(), soon).toBe(0)
  await lane.db.query('delete from outbox_message')
}, 60_000)

test('a lane with an owner is nobody else to carry', async () => {
  const owner = lane.relay()
  await owner.runOnce()
  await lane.commit(message('mine'))
  const relay = neighbour()
  await relay.start()
  const other = await registerLane(lane.db, `${lane.name} orphan`)
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, payload) values ($1, gen_random_uuid(), $2, '1')`,
    [other, lane.name],
  )
  // A sweep has passed when the orphan's row is out.
  await expect.poll(() => lane.count(lane.name), soon).toBe(1)
  expect(await lane.rows()).toBe(1)
})

test('a lane that is no pod its own is kept when it is empty', async () => {
  const id = await registerLane(lane.db, `${lane.name} always`, 'always')
  const relay = neighbour()
  await relay.start()
  await expect
    .poll(() => relay.saw('relay.owned').map((seen) => 'lane' in seen && seen.lane), soon)
    .toContain(`${lane.name} always`)
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, payload) values ($1, gen_random_uuid(), $2, '1')`,
    [id, lane.name],
  )
  await expect.poll(() => lane.count(lane.name), soon).toBe(1)
  await expect.poll(() => lane.rows(), soon).toBe(0)
  expect(relay.saw('relay.released')).not.toContainEqual(expect.objectContaining({ lane: `${lane.name} always` }))
})

test('a relay that lost only the broker gives its lane up, and one that reaches the broker carries it', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const cutOff = lane.relay({ rabbitmqUrl: proxy.url, brokerDeadlineMs: 300 })
  await cutOff.start()
  await expect.poll(() => cutOff.saw('relay.owned').length, soon).toBe(1)
  proxy.cut()
  await lane.commit(message('waits'))
  await expect.poll(() => cutOff.saw('relay.released'), soon).toMatchObject([{ reason: 'no broker' }])
  const heir = lane.relay()
  await heir.start()
  await expect.poll(() => lane.rows(), soon).toBe(0)
  proxy.resume()
  await expect.poll(() => cutOff.saw('broker.connected').length, soon).toBe(2)
  expect(cutOff.saw('relay.owned')).toHaveLength(1)
  await heir.stop({ graceMs: 0 })
  await expect.poll(() => cutOff.saw('relay.owned').length, soon).toBe(2)
  await cutOff.stop({ graceMs: 10_000 })
  expect(cutOff.saw('relay.stopped')).toMatchObject([{ emptied: true }])
})

test('a key lane whose relay lost only Postgres can be had at once, though that relay still reaches the broker', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const keyed = (payload: unknown) => ({ ...message(payload), orderingKey: 'a' })
  const cutOff = neighbour({ databaseUrl: proxy.url })
  await cutOff.start()
  await lane.commit(keyed('before'))
  // Deleted too: what is published and not deleted is published again by the heir.
  const keyedRows = async () => (await lane.db.query(`select from outbox_message where ordering_key = 'a'`)).rowCount
  await expect.poll(keyedRows, soon).toBe(0)
  expect(await lane.count(lane.name)).toBe(1)
  proxy.cut()
  await expect.poll(() => cutOff.saw('relay.lost').length, soon).toBe(1)
  await lane.commit(keyed('after'))
  const heir = lane.relay({ lane: `${lane.name} heir`, adopt: true })
  await heir.start()
  await expect.poll(() => lane.count(lane.name), soon).toBe(2)
  await expect.poll(cutOff.state, soon).toMatchObject({ database: 'down', broker: 'up' })
})

test('a key lane that was given up can be had at once, though the broker came back while it was', async () => {
  const proxy = await startProxy(vhost.url)
  const [blocker, heir] = [new pg.Client(database.url), new pg.Client(database.url)]
  await Promise.all([blocker.connect(), heir.connect()])
  onTestFinished(async () => {
    await Promise.all([blocker.end(), heir.end(), proxy.stop()])
  })
  const relay = lane.relay({ lane: 'key 1', rabbitmqUrl: proxy.url, brokerDeadlineMs: 300 })
  await relay.start()
  await expect.poll(() => relay.saw('relay.owned').length, soon).toBe(1)
  const { rows } = await lane.db.query(`select id, fence from outbox_lane where name = 'key 1'`)
  const { id, fence } = rows[0]

  // The relay has a row to publish, and is in the middle of its pass when the broker goes.
  await blocker.query('begin')
  await blocker.query(
    `insert into outbox_message (lane, message_id, routing_key, ordering_key, payload)
     values ($1, gen_random_uuid(), $2, 'a', '1')`,
    [id, lane.name],
  )
  await blocker.query('lock table outbox_message in access exclusive mode')
  await lane.db.query('select pg_notify($1, $2)', [`outbox_lane_${id}`, ''])
  const isStuck = () =>
    lane.db.query(
      `select from pg_stat_activity where application_name = 'outbox relay key 1' and wait_event_type = 'Lock'`,
    )
  await expect.poll(async () => (await isStuck()).rowCount, soon).toBe(1)
  proxy.cut()
  await expect.poll(() => relay.saw('broker.lost').length, soon).toBe(1)
  const lostAtMs = performance.now()
  // Its deadline, and what may lie between two of its looks at it.
  await expect.poll(() => performance.now() - lostAtMs, soon).toBeGreaterThan(2_500)
  proxy.resume()
  await expect.poll(() => relay.saw('broker.connected').length, soon).toBe(2)
  const inherited = heir.query('select pg_advisory_lock($1, $2)', [lockClasses.owner, id])
  await blocker.query('commit')
  await expect.poll(() => relay.saw('relay.released'), soon).toMatchObject([{ lane: 'key 1', reason: 'no broker' }])
  await inherited

  const connection = await amqplib.connect(vhost.url)
  onTestFinished(() => connection.close())
  const takeFence = async () => {
    const channel = await connection.createChannel()
    channel.on('error', () => {})
    return channel.assertQueue(`outbox.lane.${fence}`, { exclusive: true })
  }
  await expect.poll(takeFence, soon).toMatchObject({ consumerCount: 0 })
  expect(relay.state()).toMatchObject({ database: 'up' })
})

test('a relay without a broker asks for no lane', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  proxy.cut()
  const relay = lane.relay({ rabbitmqUrl: proxy.url })
  await relay.start()
  await expect.poll(() => relay.saw('broker.unavailable').length, soon).toBeGreaterThan(1)
  expect(relay.saw('relay.owned')).toEqual([])
  proxy.resume()
  await expect.poll(() => relay.saw('relay.owned').length, soon).toBe(1)
})

test('a lane that cannot be asked for leaves none of those that were taken before it without work', async () => {
  // In place of Postgres' own, for those that look there first: the fourth lane that is asked for is none.
  await lane.db.query('create sequence asked')
  await lane.db.query(
    `create function pg_try_advisory_lock(class int, lane int) returns boolean language plpgsql as $$ begin
       if class = ${lockClasses.owner} and nextval('asked') = 4 then raise 'out of shared memory'; end if;
       return pg_catalog.pg_try_advisory_lock(class, lane);
     end $$`,
  )
  onTestFinished(async () => {
    await runOn(database.url, 'drop function public.pg_try_advisory_lock', 'drop sequence asked')
  })
  const relay = lane.relay({
    databaseUrl: `${database.url}?options=-c%20search_path%3Dpublic%2Cpg_catalog`,
    adopt: true,
  })
  await relay.start()
  await waitFor(areAllAsleep, patient)
  expect(relay.saw('relay.failed')).toMatchObject([{ reason: 'out of shared memory' }])
}, 90_000)
