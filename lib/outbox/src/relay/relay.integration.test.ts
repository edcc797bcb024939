import pg from 'pg'
import { expect, test } from 'vitest'
import { openLane } from '../../test/lane-under-test.ts'
import { database, lane, useLane, vhost } from '../../test/use-lane.ts'
import { enqueue } from '../index.ts'

/** Far beyond what a test waits: whatever happens before was not found by the poll. */
const pollMs = 600_000
const soon = { timeout: 10_000, interval: 20 }

useLane('quorum')

const message = (payload: unknown) => ({ routingKey: lane.name, payload })

test('committed rows are published once, as they were written, and deleted', async () => {
  const relay = lane.relay()
  const messageId = '0190b1a2-7a4f-7c3e-9d1b-2f5d8e9a1c34'
  const headers = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', attempt: 2, last: true }
  await lane.commit({ ...message({ order: 1 }), messageId, headers }, message(null))
  expect(await relay.runOnce()).toMatchObject({ kind: 'done', read: 2, confirmed: 2, refused: 0, unknown: 0 })
  expect(await lane.rows()).toBe(0)
  expect(await relay.runOnce()).toMatchObject({ kind: 'done', read: 0, confirmed: 0 })

  const first = await lane.channel.get(lane.name, { noAck: true })
  expect(first).toMatchObject({
    properties: { messageId, headers, contentType: 'application/json', deliveryMode: 2 },
    fields: { exchange: '', routingKey: lane.name },
  })
  if (first === false) throw new Error('no message')
  expect(JSON.parse(first.content.toString())).toEqual({ order: 1 })
  expect(Math.abs(Date.now() / 1_000 - Number(first.properties.timestamp))).toBeLessThan(60)
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual([null])
})

test('rows that are rolled back are never published', async () => {
  const relay = lane.relay()
  await lane.rollBack(message('never'))
  await lane.commit(message('committed'))
  await relay.runOnce()
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual(['committed'])
})

test('a row that commits after a later one was published is not lost', async () => {
  const relay = lane.relay()
  const late = new pg.Client(database.url)
  await late.connect()
  await late.query('begin')
  await enqueue(late, message('drew its id first'), { lane: lane.id })
  await lane.commit(message('committed first'))
  await relay.runOnce()
  await late.query('commit')
  await late.end()
  await relay.runOnce()
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual(['committed first', 'drew its id first'])
})

test('only the rows of the own lane are published', async () => {
  const other = await openLane(`${lane.name} other`, { databaseUrl: database.url, rabbitmqUrl: vhost.url })
  await other.commit(message('of the other'))
  expect(await lane.relay().runOnce()).toMatchObject({ read: 0 })
  expect(await other.rows()).toBe(1)
  await other.close()
})

test('with adopt a turn carries lanes of ordering keys as well, and those whose relay is gone', async () => {
  const other = await openLane(`${lane.name} gone`, { databaseUrl: database.url, rabbitmqUrl: vhost.url })
  await other.commit(message('gone'))
  await other.close()
  const key = { orderingKey: 'one' }
  await lane.commit({ ...message(1), ...key }, message('own'), { ...message(2), ...key })
  const relay = lane.relay({ adopt: true })
  await relay.runOnce()
  await relay.runOnce()
  const payloads = (await lane.take(lane.name)).map(({ payload }) => payload)
  expect(payloads.map(String).toSorted()).toEqual(['1', '2', 'gone', 'own'])
  expect(payloads.filter((payload) => typeof payload === 'number')).toEqual([1, 2])
  const isReleased = relay.saw('relay.released').some((seen) => 'lane' in seen && seen.lane === `${lane.name} gone`)
  expect(isReleased, 'the lane of the relay that is gone, once it is empty').toBe(true)
})

test('a ring wakes a relay at once, also when it comes while a turn is on', async () => {
  const relay = lane.relay({ pollMs })
  await relay.start()
  for (let round = 1; round <= 50; round += 1) await lane.commit(message(round))
  await expect.poll(() => lane.rows(), soon).toBe(0)
  expect(await lane.take(lane.name)).toHaveLength(50)
})

test('a row with a delay goes out when it is due, and not before', async () => {
  const relay = lane.relay()
  await lane.commit({ ...message('in an hour'), delayMs: 3_600_000 }, message('now'))
  expect(await relay.runOnce()).toMatchObject({ moved: 0, read: 1 })
  expect(await relay.runOnce()).toMatchObject({ moved: 0, read: 0 })
  await lane.db.query(`update outbox_scheduled set available_at = now() where lane = $1`, [lane.id])
  expect(await relay.runOnce()).toMatchObject({ moved: 1, read: 1, confirmed: 1 })
  expect(await lane.rows('outbox_scheduled')).toBe(0)
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual(['now', 'in an hour'])
})

test('a relay wakes for the next row that is due, though nobody rings and the poll is far', async () => {
  await lane.commit({ ...message('in half a second'), delayMs: 500 })
  const relay = lane.relay({ pollMs })
  await relay.start()
  await expect.poll(() => lane.rows('outbox_scheduled'), soon).toBe(0)
  await expect.poll(() => lane.count(lane.name), soon).toBe(1)
})

test('a lane with more rows than the window is emptied without a pause, and in order', async () => {
  const relay = lane.relay({ pollMs, window: 7 })
  const numbers = Array.from({ length: 100 }, (_, index) => index)
  await lane.commit(...numbers.map(message))
  await relay.start()
  await expect.poll(() => lane.rows(), soon).toBe(0)
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual(numbers)
  expect(relay.saw('relay.batch')).toHaveLength(50)
})

test('a delete that fails is tried again before anything else is read, so nothing is published twice', async () => {
  const relay = lane.relay()
  await lane.db.query(`create function refuse() returns trigger language plpgsql as $$ begin raise 'not now'; end $$`)
  await lane.db.query('create trigger refuse before delete on outbox_message execute function refuse()')
  await lane.commit(message('once'))
  await expect(relay.runOnce()).rejects.toThrow('not now')
  await expect(relay.runOnce()).rejects.toThrow('not now')
  expect(await lane.rows()).toBe(1)
  await lane.db.query('drop function refuse cascade')
  expect(await relay.runOnce()).toMatchObject({ read: 0 })
  expect(await lane.rows()).toBe(0)
  expect(await lane.take(lane.name)).toHaveLength(1)
})

test('stop publishes what the lane holds, frees it and leaves nothing open', async () => {
  const relay = lane.relay({ pollMs, window: 10 })
  await relay.start()
  await lane.commit(...Array.from({ length: 200 }, (_, index) => message(index)))
  await relay.stop({ graceMs: 10_000 })
  expect(await lane.rows()).toBe(0)
  expect(await lane.count(lane.name)).toBe(200)
  expect(relay.saw('relay.stopped')).toMatchObject([{ emptied: true }])
  const sessions = async () => {
    const { rows } = await lane.db.query(
      `select application_name from pg_stat_activity where datname = current_database() and application_name = any($1)`,
      [[`outbox relay ${lane.name}`, `outbox bell ${lane.name}`]],
    )
    return rows
  }
  await expect.poll(sessions, soon).toEqual([])
})

test('an address of Postgres that only pg can read is as good as any', async () => {
  const { username, password, hostname, port, pathname } = new URL(database.url)
  const relay = lane.relay({
    databaseUrl: `postgres://${username}:${password}@${pathname}?host=${hostname}&port=${port}`,
  })
  await lane.commit(message(1))
  await relay.start()
  await expect.poll(() => lane.rows(), soon).toBe(0)
})

test('turns that are asked for at once are taken one after the other, on one session, and then the loop is not started', async () => {
  const relay = lane.relay()
  await lane.commit(message(1))
  const turns = await Promise.all([relay.runOnce(), relay.runOnce(), relay.runOnce()])
  expect(turns).toMatchObject([{ confirmed: 1 }, { read: 0 }, { read: 0 }])
  const { rowCount } = await lane.db.query('select from pg_stat_activity where application_name = $1', [
    `outbox relay ${lane.name}`,
  ])
  expect(rowCount).toBe(1)
  await expect(relay.start()).rejects.toThrow(expect.objectContaining({ code: 'relay_misused' }))
  expect(await relay.runOnce()).toMatchObject({ kind: 'done' })
})

test('a relay that was started takes no single turns, and one that was stopped does not start', async () => {
  const misused = expect.objectContaining({ code: 'relay_misused' })
  const relay = lane.relay({ pollMs })
  await relay.start()
  await expect(relay.runOnce()).rejects.toThrow(misused)
  await expect(relay.start()).rejects.toThrow(misused)
  await Promise.all([relay.stop({ graceMs: 0 }), relay.stop({ graceMs: 0 })])
  await expect(relay.start()).rejects.toThrow(misused)
  expect(relay.saw('relay.stopped')).toHaveLength(1)
})
