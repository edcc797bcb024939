import { startProxy } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { enqueue } from '../enqueue/enqueue.ts'
import { dropParked, listParked, retryParked } from '../parked/parked.ts'
import { database, lane, useLane, vhost } from '../../test/use-lane.ts'

/** Far beyond what a test waits. */
const pollMs = 600_000
const soon = { timeout: 30_000, interval: 20 }

useLane()

const keyed = (orderingKey: string, payload: unknown, routingKey = lane.name) => ({ routingKey, payload, orderingKey })

const adopting = (options = {}) => lane.relay({ lane: `${lane.name} home`, adopt: true, ...options })

const rowsLeft = async (): Promise<number> => {
  const { rows } = await lane.db.query<{ count: number }>('select count(*)::int from outbox_message')
  return rows[0]?.count ?? Number.NaN
}

const payloads = async () => (await lane.take(lane.name)).map(({ payload }) => payload)

/** Writes a row past `enqueue`, which chooses the lane by the key: to the one that a test's relay has. */
const insertIn = (keyLane: string, orderingKey: string, { table = 'outbox_message', routingKey = lane.name } = {}) =>
  lane.db.query(
    `insert into ${table} (lane, message_id, exchange, routing_key, ordering_key, payload
       ${table === 'outbox_scheduled' ? ', available_at' : ''})
     select id, gen_random_uuid(), $2, $3, $4, to_json($4::text) ${table === 'outbox_scheduled' ? ', now()' : ''}
     from outbox_lane where name = $1`,
    [keyLane, routingKey === lane.name ? '' : 'amq.direct', routingKey, orderingKey],
  )

test('a refused row holds back its key, and nothing else', async () => {
  const missing = `${lane.name}.missing`
  const relay = adopting({ refusedBackoff: { firstMs: 200, capMs: 200 } })
  await relay.start()
  await lane.commit(keyed('a', 'a1', missing), keyed('a', 'a2'), keyed('b', 'b1'))
  await lane.commit(keyed('a', 'a3'), keyed('b', 'b2'), { routingKey: lane.name, payload: 'no key' })
  await expect.poll(rowsLeft, soon).toBe(3)
  expect(new Set(await payloads())).toEqual(new Set(['b1', 'b2', 'no key']))
  await lane.declareQueue(missing)
  await expect.poll(rowsLeft, soon).toBe(0)
  expect(await lane.take(missing)).toHaveLength(1)
  expect(await payloads()).toEqual(['a2', 'a3'])
})

test('ten thousand rows of a key that is held back do not hide a row of another key', async () => {
  const relay = adopting({ window: 100 })
  await relay.start()
  await lane.commit(keyed('a', 'a0', `${lane.name}.missing`))
  await lane.commit(...Array.from({ length: 10_000 }, (_, index) => keyed('a', index)))
  await expect.poll(() => relay.saw('relay.refused').length, soon).toBeGreaterThan(0)
  // Every lane has one, so one of them is behind the rows that are held back.
  await lane.commit(...Array.from({ length: 100 }, (_, index) => keyed(`other ${index}`, 'free')))
  await expect.poll(() => lane.count(lane.name), soon).toBe(100)
  await expect.poll(rowsLeft, soon).toBe(10_001)
  await lane.db.query('truncate outbox_message')
})

test('keys that are held back do not fill a batch', async () => {
  // One row at a time.
  const relay = lane.relay({ lane: 'key 1', window: 4, refusedBackoff: { firstMs: 600_000, capMs: 600_000 } })
  for (const key of ['a', 'b', 'c']) await insertIn('key 1', key, { routingKey: `nobody has ${key}` })
  expect(await relay.runOnce()).toMatchObject({ refused: 3 })
  await insertIn('key 1', 'd')
  expect(await relay.runOnce()).toMatchObject({ read: 1, confirmed: 1 })
  await lane.db.query('truncate outbox_message')
})

test('of keys whose next rows are to a closed destination one is tried again, and the others follow when it opens', async () => {
  const missing = `${lane.name}.missing`
  const relay = adopting({ pollMs, window: 40, refusedBackoff: { firstMs: 100, capMs: 100 } })
  const tries = () =>
    relay.saw('relay.refused').map((seen) => (seen.kind === 'relay.refused' ? [seen.count, seen.attempt] : []))
  await relay.start()
  await lane.commit(...Array.from({ length: 900 }, (_, index) => keyed(`key ${index}`, index, missing)))
  await lane.commit(...Array.from({ length: 900 }, (_, index) => keyed(`key ${index}`, index)), keyed('free', 'free'))
  await expect.poll(() => lane.count(lane.name), soon).toBe(1)
  await expect.poll(() => tries().map(([, attempt]) => attempt), soon).toContain(6)
  const again = tries().filter(([, attempt = 0]) => attempt > 1)
  expect(again.filter(([count]) => count !== 1)).toEqual([])
  // In flight at first, in each of the key lanes that there are.
  expect(tries().reduce((sum, [count = 0]) => sum + count, 0) - again.length).toBeLessThanOrEqual(8 * 40)
  expect(await payloads()).toEqual(['free'])
  await lane.declareQueue(missing)
  await expect.poll(rowsLeft, soon).toBe(0)
  const sorted = async (queue: string) =>
    (await lane.take(queue)).map(({ payload }) => Number(payload)).toSorted((a, b) => a - b)
  for (const queue of [missing, lane.name])
    expect(await sorted(queue)).toEqual(Array.from({ length: 900 }, (_, index) => index))
})

test('a row that is due waits while a writer has its key, and those of other keys do not', async () => {
  const relay = lane.relay({ lane: 'key 1' })
  for (const key of ['a', 'b']) await insertIn('key 1', key, { table: 'outbox_scheduled' })
  const writer = new pg.Client(database.url)
  await writer.connect()
  await writer.query('begin')
  await enqueue(writer, keyed('a', 'not committed yet'))
  expect(await relay.runOnce()).toMatchObject({ moved: 1, confirmed: 1 })
  expect(await payloads()).toEqual(['b'])
  await writer.query('rollback')
  await writer.end()
  expect(await relay.runOnce()).toMatchObject({ moved: 1, confirmed: 1 })
})

test('a parked row that is tried again is found, however far its lane was read meanwhile', async () => {
  const relay = lane.relay({ lane: 'key 1', parkAfter: 1 })
  await insertIn('key 1', 'a', { routingKey: 'later' })
  expect(await relay.runOnce()).toMatchObject({ refused: 1 })
  for (let round = 1; round <= 5; round += 1) {
    await insertIn('key 1', 'b')
    expect(await relay.runOnce()).toMatchObject({ confirmed: 1 })
  }
  await lane.channel.bindQueue(lane.name, 'amq.direct', 'later')
  const [parked] = await listParked(lane.db)
  if (parked === undefined) throw new Error('nothing is parked')
  await retryParked(lane.db, parked)
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1 })
})

test('a parked row goes on holding its key, and comes back before its successors', async () => {
  await lane.channel.assertExchange(`${lane.name} x`, 'direct')
  const relay = adopting({ pollMs, parkAfter: 2, refusedBackoff: { firstMs: 10, capMs: 10 } })
  await relay.start()
  const lost = { ...keyed('a', 'a1', 'nobody'), exchange: `${lane.name} x` }
  await lane.commit(lost, keyed('a', 'a2'), keyed('b', 'b1'))
  await expect.poll(() => relay.saw('relay.parked'), soon).toMatchObject([{ count: 1, reason: 'no queue takes it' }])
  await lane.commit(keyed('a', 'a3'), keyed('b', 'b2'))
  await expect.poll(() => lane.count(lane.name), soon).toBe(2)
  expect(await payloads()).toEqual(['b1', 'b2'])
  const [parked, ...others] = await listParked(lane.db)
  if (parked === undefined) throw new Error('nothing is parked')
  expect(others).toEqual([])
  expect(parked).toMatchObject({ orderingKey: 'a', routingKey: 'nobody', attempts: 2, reason: 'no queue takes it' })
  await lane.channel.bindQueue(lane.name, `${lane.name} x`, 'nobody')
  expect(await retryParked(lane.db, parked)).toBe(true)
  expect(await retryParked(lane.db, parked)).toBe(false)
  await expect.poll(rowsLeft, soon).toBe(0)
  expect(await payloads()).toEqual(['a1', 'a2', 'a3'])
})

test('a key that is parked while the broker closes the channel over another row stays held', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  // Two rows a batch, four batches on their way.
  const relay = lane.relay({ lane: 'key 1', rabbitmqUrl: proxy.url, window: 8, parkAfter: 1 })
  expect(await relay.runOnce()).toMatchObject({ read: 0 })
  // It keeps nothing on disk, so its confirms do not wait for one.
  await lane.channel.assertQueue(`${lane.name}.quick`, { durable: false })
  const quick = ['', `${lane.name}.quick`]
  const nobody = ['amq.direct', 'nobody']
  const undeclared = ['', 'undeclared']
  const rows = [
    [...nobody, 'a'],
    [...quick, 'b'],
    [...undeclared, 'c'],
    [...undeclared, 'd'],
    [...undeclared, 'e'],
    [...undeclared, 'f'],
    [...quick, 'g'],
    ['missing', 'any', 'h'],
    [...quick, 'a'],
  ]
  await lane.db.query(
    `insert into outbox_message (lane, message_id, exchange, routing_key, ordering_key, payload)
     select id, gen_random_uuid(), message ->> 0, message ->> 1, message ->> 2, message -> 2
     from outbox_lane, json_array_elements($1) as message where name = 'key 1'`,
    [JSON.stringify(rows)],
  )
  proxy.pause()
  const turn = relay.runOnce()
  // The second one is of the last batch, so all eight are out. All that RabbitMQ says of them comes at once.
  await expect.poll(() => lane.count(`${lane.name}.quick`), soon).toBe(2)
  proxy.resume()
  await turn
  expect(await listParked(lane.db)).toMatchObject([{ orderingKey: 'a' }, { orderingKey: 'h' }])
  expect((await lane.take(`${lane.name}.quick`)).map(({ payload }) => payload)).not.toContain('a')
  await lane.db.query('truncate outbox_message, outbox_parked')
})

test('a parked row that is dropped sets its key free', async () => {
  await lane.channel.assertExchange(`${lane.name} y`, 'direct')
  const relay = adopting({ pollMs, parkAfter: 1 })
  await relay.start()
  await lane.commit({ ...keyed('a', 'a1', 'nobody'), exchange: `${lane.name} y` }, keyed('a', 'a2'))
  await expect.poll(async () => (await listParked(lane.db)).length, soon).toBe(1)
  const [parked] = await listParked(lane.db)
  if (parked === undefined) throw new Error('nothing is parked')
  expect(await rowsLeft()).toBe(1)
  await expect.poll(() => lane.isAsleep(parked.lane), soon).toBe(true)
  expect(await dropParked(lane.db, parked)).toBe(true)
  expect(await dropParked(lane.db, parked)).toBe(false)
  await expect.poll(rowsLeft, soon).toBe(0)
  expect(await payloads()).toEqual(['a2'])
})

test('an heir publishes nothing before the former owner of a key lane can publish no more', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const owner = lane.relay({ lane: 'key 1', rabbitmqUrl: proxy.url })
  expect(await owner.runOnce()).toMatchObject({ kind: 'done' })
  // On its later connections as on the first one.
  proxy.cut()
  await expect.poll(() => owner.saw('broker.lost').length, soon).toBe(1)
  proxy.resume()
  expect(await owner.runOnce()).toMatchObject({ kind: 'done' })
  const onSessions = async (what: string) =>
    (await lane.db.query(`select ${what} from pg_stat_activity where application_name = 'outbox relay key 1'`)).rowCount
  // That of a relay before may be about to end.
  await expect.poll(() => onSessions('pid'), soon).toBe(1)
  expect(await onSessions('pg_terminate_backend(pid)')).toBe(1)
  const heir = lane.relay({ lane: 'key 1' })
  await heir.start()
  await expect.poll(() => heir.saw('relay.owned').length, soon).toBe(1)
  await insertIn('key 1', 'a')
  await expect.poll(() => heir.saw('relay.fenced').length, soon).toBe(1)
  expect(await rowsLeft()).toBe(1)
  proxy.cut()
  await expect.poll(rowsLeft, soon).toBe(0)
})
