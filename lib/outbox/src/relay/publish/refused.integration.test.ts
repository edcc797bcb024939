import { explainStatements, startProxy } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { enqueue } from '../../enqueue/enqueue.ts'
import { ownLane } from '../../../test/own-lane.ts'
import { passesOf } from '../../../test/passes-of.ts'
import { database, lane, useLane, vhost } from '../../../test/use-lane.ts'

const soon = { timeout: 10_000, interval: 20 }

useLane()

const good = (payload: unknown) => ({ routingKey: lane.name, payload })

const bad = (exchange: string) => ({ exchange, routingKey: 'any', payload: 'bad' })

test('a row that no queue takes is refused and held back, and the others pass', async () => {
  const relay = lane.relay()
  await lane.commit(good(1), { routingKey: `${lane.name}.missing`, payload: 'waits' }, good(2))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 2, refused: 1, unknown: 0 })
  expect(relay.saw('relay.refused')).toMatchObject([{ count: 1, reason: 'no queue takes it', attempt: 1 }])
  await lane.commit(good(3))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1 })
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual([1, 2, 3])
  expect(await lane.rows()).toBe(1)
})

test('a row that was refused goes out by itself once its queue is there', async () => {
  const queue = `${lane.name}.missing`
  const relay = lane.relay({ pollMs: 600_000 })
  await relay.start()
  await lane.commit({ routingKey: queue, payload: 'waits' })
  await expect.poll(() => relay.saw('relay.refused').length, soon).toBe(1)
  await lane.declareQueue(queue)
  await expect.poll(() => lane.rows(), soon).toBe(0)
  expect((await lane.take(queue)).map(({ payload }) => payload)).toEqual(['waits'])
})

test('a refused row waits as long as the options say, and up to half of it less by chance', async () => {
  const relay = lane.relay({ refusedBackoff: { firstMs: 40_000, capMs: 50_000 } })
  await lane.commit({ routingKey: `${lane.name}.missing`, payload: 'waits' })
  expect(await relay.runOnce()).toMatchObject({ refused: 1 })
  const isAsGiven = expect.toSatisfy((ms: number) => ms >= 20_000 && ms <= 40_000)
  expect(relay.saw('relay.refused')).toMatchObject([{ retryInMs: isAsGiven }])
})

test('rows that are held back do not fill a batch', async () => {
  // One row at a time.
  const relay = lane.relay({ window: 4, refusedBackoff: { firstMs: 600_000, capMs: 600_000 } })
  await lane.commit(...[1, 2, 3, 4, 5].map((payload) => ({ routingKey: `${lane.name}.missing.${payload}`, payload })))
  expect(await relay.runOnce()).toMatchObject({ refused: 5 })
  await lane.commit(good(6))
  expect(await relay.runOnce()).toMatchObject({ read: 1, confirmed: 1 })
})

test.each([
  ['the default exchange', '', 'no queue takes it'],
  ['a missing exchange', 'missing', expect.stringContaining('NOT_FOUND')],
])(
  'of a backlog for a destination that takes nothing no more than the window is tried: %s',
  async (_, exchange, reason) => {
    const relay = lane.relay({ window: 8, refusedBackoff: { firstMs: 600_000, capMs: 600_000 } })
    const lost = { exchange, routingKey: `${lane.name}.missing`, payload: 'waits' }
    await lane.commit(...Array.from({ length: 100 }, () => lost), good(1))
    const turns = [await relay.runOnce(), await relay.runOnce()]
    expect(await lane.take(lane.name)).toMatchObject([{ payload: 1 }])
    const refused = turns.map((turn) => (turn.kind === 'done' ? turn.refused : 0))
    expect(refused[0]).toBeLessThanOrEqual(8)
    expect(refused[1]).toBe(0)
    expect(relay.saw('relay.refused')[0]).toMatchObject({ reason })
    await lane.commit(good(2), lost)
    expect(await relay.runOnce()).toMatchObject({ read: 1, confirmed: 1 })
    expect(await lane.rows()).toBe(101)
  },
)

test('an exchange that is not there costs a channel a batch, whatever the routing keys, and opens once it is there', async () => {
  const exchange = `${lane.name} late`
  const relay = lane.relay({ window: 40, refusedBackoff: { firstMs: 1_000, capMs: 1_000 } })
  const lost = Array.from({ length: 100 }, (_, index) => ({ exchange, routingKey: `order.${index}`, payload: index }))
  await lane.commit(...lost, good('good'))
  const turns = [await relay.runOnce(), await relay.runOnce()]
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual(['good'])
  expect(turns.reduce((sum, turn) => sum + (turn.kind === 'done' ? turn.refused : 0), 0)).toBeLessThanOrEqual(40)
  // All in flight together close one, and so does the first row of each batch of them that is tried alone.
  expect(relay.saw('broker.channel-closed').length).toBeLessThan(10)
  await lane.channel.assertExchange(exchange, 'topic')
  await lane.channel.bindQueue(lane.name, exchange, 'order.*')
  const rowsLeft = async () => {
    await relay.runOnce()
    return lane.rows()
  }
  await expect.poll(rowsLeft, soon).toBe(0)
  expect(new Set((await lane.take(lane.name)).map(({ payload }) => payload)).size).toBe(100)
})

test('an exchange that may not be written to costs a channel a batch as well, whatever the routing keys', async () => {
  const exchange = `${lane.name} internal`
  await lane.channel.assertExchange(exchange, 'topic', { internal: true })
  const relay = lane.relay({ window: 40, refusedBackoff: { firstMs: 600_000, capMs: 600_000 } })
  const lost = Array.from({ length: 100 }, (_, index) => ({ exchange, routingKey: `order.${index}`, payload: index }))
  await lane.commit(...lost, good('good'))
  await relay.runOnce()
  await relay.runOnce()
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual(['good'])
  expect(relay.saw('relay.refused')[0]).toMatchObject({ reason: expect.stringContaining('ACCESS_REFUSED') })
  expect(relay.saw('broker.channel-closed').length).toBeLessThan(10)
})

test('a routing key that may not be written to does not close its exchange', async () => {
  const exchange = `${lane.name} guarded`
  await lane.channel.assertExchange(exchange, 'topic')
  await lane.channel.bindQueue(lane.name, exchange, '#')
  await vhost.permitTopics(exchange, '^public')
  const relay = lane.relay({ refusedBackoff: { firstMs: 600_000, capMs: 600_000 } })
  await lane.commit({ exchange, routingKey: 'secret', payload: 'refused' })
  expect(await relay.runOnce()).toMatchObject({ refused: 1 })
  await lane.commit({ exchange, routingKey: 'public', payload: 'good' })
  expect(await relay.runOnce()).toMatchObject({ read: 1, confirmed: 1 })
  expect(relay.saw('relay.refused')).toMatchObject([{ reason: expect.stringContaining("access to topic 'secret'") }])
})

/** An exchange that goes by the headers of a message, with a way to the lane's queue for good ones. */
const declareHeadersExchange = async () => {
  const exchange = `${lane.name} headers`
  await lane.channel.assertExchange(exchange, 'headers')
  await lane.channel.bindQueue(lane.name, exchange, '', { 'x-match': 'all', kind: 'good' })
  return (kind: string) => ({ exchange, routingKey: '', headers: { kind }, payload: kind })
}

test('where an exchange goes by headers, what no queue takes does not hold up what is published beside it', async () => {
  const message = await declareHeadersExchange()
  const relay = lane.relay({ refusedBackoff: { firstMs: 600_000, capMs: 600_000 } })
  await lane.commit(message('bad'), message('good'), message('bad'), message('good'))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 2, refused: 2 })
  await lane.commit(message('good'))
  expect(await relay.runOnce()).toMatchObject({ read: 1, confirmed: 1 })
  expect(await lane.count(lane.name)).toBe(3)
})

test('where an exchange goes by headers, what no queue takes holds up the next ones until it is tried again', async () => {
  const message = await declareHeadersExchange()
  const relay = lane.relay({ pollMs: 600_000, refusedBackoff: { firstMs: 500, capMs: 500 } })
  await lane.commit(message('bad'))
  await relay.start()
  await expect.poll(() => relay.saw('relay.refused').length, soon).toBe(1)
  await lane.commit(message('good'), message('good'))
  await expect.poll(() => lane.rows(), soon).toBe(1)
  expect(relay.saw('relay.parked')).toEqual([])
  // From then on it is tried for itself, until it is parked.
  await expect.poll(() => relay.saw('relay.parked').length, soon).toBe(1)
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual(['good', 'good'])
})

test('a destination is open again once a row that was refused goes through', async () => {
  const queue = `${lane.name}.missing`
  const relay = lane.relay({ pollMs: 600_000, window: 8, refusedBackoff: { firstMs: 500, capMs: 500 } })
  await lane.commit(...Array.from({ length: 100 }, (_, index) => ({ routingKey: queue, payload: index })))
  await relay.start()
  await expect.poll(() => relay.saw('relay.refused').length, soon).toBeGreaterThan(0)
  await lane.declareQueue(queue)
  await expect.poll(() => lane.rows(), soon).toBe(0)
  expect(new Set((await lane.take(queue)).map(({ payload }) => payload)).size).toBe(100)
})

/** How many messages RabbitMQ was asked to take in vain. */
const tries = (relay: ReturnType<typeof lane.relay>): number =>
  relay.saw('relay.refused').reduce((sum, seen) => sum + (seen.kind === 'relay.refused' ? seen.count : 0), 0)

test('of a closed destination one row is tried again, and the others follow in order when it opens', async () => {
  const queue = `${lane.name}.missing`
  const relay = lane.relay({ pollMs: 600_000, window: 40, refusedBackoff: { firstMs: 100, capMs: 100 } })
  await lane.commit(...Array.from({ length: 300 }, (_, index) => ({ routingKey: queue, payload: index })))
  await relay.start()
  const last = () => relay.saw('relay.refused').at(-1)
  await expect.poll(last, soon).toMatchObject({ attempt: 8 })
  // Those that were in flight at first, and one for each of the seven times that were to come.
  expect(tries(relay)).toBeLessThanOrEqual(40 + 7)
  await lane.declareQueue(queue)
  await expect.poll(() => lane.rows(), soon).toBe(0)
  const [probe, ...others] = (await lane.take(queue)).map(({ payload }) => Number(payload))
  expect(others).toEqual(Array.from({ length: 300 }, (_, index) => index).filter((index) => index !== probe))
})

test.each([
  ['no queue', true, 'no queue takes it'],
  ['no exchange', false, expect.stringContaining('NOT_FOUND')],
])(
  'of a destination that never opens all rows are parked in the end, each tried by itself: %s',
  async (_, isThere, reason) => {
    const [count, parkAfter] = [20, 4]
    const exchange = `${lane.name} vain`
    if (isThere) await lane.channel.assertExchange(exchange, 'topic')
    const relay = lane.relay({
      pollMs: 600_000,
      window: 8,
      parkAfter,
      refusedBackoff: { firstMs: 20, capMs: 20 },
    })
    await lane.commit(...Array.from({ length: count }, () => bad(exchange)), good('good'))
    await relay.start()
    await expect.poll(() => lane.rows(), soon).toBe(0)
    const { rows } = await lane.db.query('select reason, attempts from outbox_parked where lane = $1', [lane.id])
    expect(rows).toEqual(Array.from({ length: count }, () => ({ reason, attempts: parkAfter })))
    expect(await lane.take(lane.name)).toMatchObject([{ payload: 'good' }])
    // Each at first and at last, and one of each window as often as it takes.
    expect(tries(relay)).toBeLessThan(parkAfter * count)
  },
)

test('of more routing keys without a queue than can be held the further ones are parked at once', async () => {
  const relay = lane.relay({ refusedBackoff: { firstMs: 600_000, capMs: 600_000 } })
  // A thousand of them close their destinations.
  const count = 11_500
  await lane.db.query(
    `insert into outbox_message (lane, message_id, exchange, routing_key, payload)
     select $1, gen_random_uuid(), 'amq.topic', $2 || number, '1' from generate_series(1, $3::int) as number`,
    [lane.id, `${lane.name}.`, count],
  )
  await lane.commit(good(1))
  await relay.start()
  await expect.poll(() => lane.rows(), { timeout: 60_000, interval: 50 }).toBe(11_000)
  const { rows } = await lane.db.query(
    'select count(*)::int, reason, attempts from outbox_parked where lane = $1 group by reason, attempts',
    [lane.id],
  )
  expect(rows).toEqual([{ count: count - 11_000, reason: 'no queue takes it', attempts: 1 }])
  expect(await lane.take(lane.name)).toMatchObject([{ payload: 1 }])
}, 90_000)

test('a backlog for a closed destination is passed a few times, not in every turn', async () => {
  const [backlog, turns] = [3_000, 40]
  await lane.db.query('truncate outbox_message')
  const owned = await ownLane('relay', lane.name, { firstMs: 600_000, capMs: 600_000 })
  const pass = await passesOf(owned, 8)
  const explained = await explainStatements((text) => owned.session.query({ text }, []))
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, payload)
     select $1, gen_random_uuid(), $2, '1' from generate_series(1, $3)`,
    [lane.id, `${lane.name}.missing`, backlog],
  )
  /** How many rows the turn had in its hands. */
  const turn = async () => {
    const before = explained().length
    await lane.commit(good('good'))
    expect(await pass()).toMatchObject({ confirmed: 1 })
    return explained()
      .slice(before)
      .reduce((sum, { rows }) => sum + rows, 0)
  }
  // While a transaction is open somewhere, of another test, the floor stays below the backlog.
  await expect.poll(turn, { timeout: 25_000, interval: 20 }).toBeLessThan(backlog)
  let passed = 0
  for (let count = 0; count < turns; count += 1) passed += await turn()
  // Each minute one read begins at zero.
  expect(passed).toBeLessThan(3 * backlog)
}, 60_000)

test('rows that are refused for their own sake do not hold up others to their destination', async () => {
  const relay = lane.relay({ refusedBackoff: { firstMs: 600_000, capMs: 600_000 } })
  // One that cannot be written, and one that RabbitMQ closes the channel over: it takes a list there only.
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, headers, payload)
     select $1, gen_random_uuid(), $2, json_build_object(header, 'any'), '"bad"' from unnest($3::text[]) as header`,
    [lane.id, lane.name, ['k'.repeat(256), 'CC']],
  )
  expect(await relay.runOnce()).toMatchObject({ refused: 2 })
  expect(relay.saw('broker.channel-closed')[0]).toMatchObject({
    reason: expect.stringContaining('PRECONDITION_FAILED'),
  })
  await lane.commit(good(1))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1 })
})

test('a row to a closed destination that commits late is found when that opens', async () => {
  const queue = `${lane.name}.missing`
  const relay = lane.relay({ refusedBackoff: { firstMs: 500, capMs: 500 } })
  const slow = new pg.Client(database.url)
  await slow.connect()
  await slow.query('begin')
  await enqueue(slow, { routingKey: queue, payload: 'slow' }, { lane: lane.id })
  await lane.commit({ routingKey: queue, payload: 'waits' })
  expect(await relay.runOnce()).toMatchObject({ refused: 1 })
  await slow.query('commit')
  await slow.end()
  // Each turn draws xids, so the floor rises as far as it may.
  for (let turn = 0; turn < 5; turn += 1) {
    await lane.commit(good(turn))
    await relay.runOnce()
  }
  await lane.declareQueue(queue)
  const rowsLeft = async () => {
    await relay.runOnce()
    return lane.rows()
  }
  await expect.poll(rowsLeft, soon).toBe(0)
})

test('a message for a queue that is not there is never parked', async () => {
  const relay = lane.relay({ parkAfter: 1, refusedBackoff: { firstMs: 10, capMs: 10 } })
  await lane.commit({ routingKey: `${lane.name}.missing`, payload: 'waits' })
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    await expect.poll(() => relay.runOnce(), soon).toMatchObject({ refused: 1 })
  }
  expect(relay.saw('relay.parked')).toEqual([])
  expect(await lane.rows()).toBe(1)
})

test.each([
  ['a queue without a name', '', ''],
  ['a queue that RabbitMQ named and that is gone', '', 'amq.gen-JzTY20BRgKO-HjmUJj0wLg'],
  ['an exchange of a reserved name that is not there', 'amq.missing', 'any'],
])('a message to what nobody can declare is parked: %s', async (_, exchange, routingKey) => {
  const relay = lane.relay({ parkAfter: 3, refusedBackoff: { firstMs: 10, capMs: 10 } })
  await lane.commit({ exchange, routingKey, payload: 'lost' }, good(1))
  const parked = async () => {
    await relay.runOnce()
    return relay.saw('relay.parked').length
  }
  await expect.poll(parked, soon).toBe(1)
  expect(await lane.rows()).toBe(0)
  expect(await lane.count(lane.name)).toBe(1)
})

test('one row for an exchange that is not there does not hold the good ones, and only it is held back', async () => {
  const relay = lane.relay()
  const numbers = Array.from({ length: 20 }, (_, index) => index)
  await lane.commit(...numbers.slice(0, 10).map(good), bad('missing'), ...numbers.slice(10).map(good))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 20, refused: 1, unknown: 0 })
  const taken = await lane.take(lane.name)
  expect(new Set(taken.map(({ payload }) => payload))).toEqual(new Set(numbers))
  // What was in flight with the bad row may have been out already; it goes at most twice, under the same id.
  expect(new Set(taken.map(({ messageId }) => messageId)).size).toBe(20)
  expect(taken.length).toBeLessThanOrEqual(40)
  expect(relay.saw('relay.refused')).toMatchObject([{ count: 1, exchange: 'missing', reason: /NOT_FOUND/ }])
  expect(await lane.rows()).toBe(1)
})

test('a row that closed the channel before goes alone, so the others are in flight once', async () => {
  const relay = lane.relay()
  await lane.commit(bad('missing'))
  expect(await relay.runOnce()).toMatchObject({ refused: 1 })
  const turnBesideGoodOnes = async () => {
    await lane.commit(...Array.from({ length: 20 }, (_, index) => good(index)))
    return relay.runOnce()
  }
  await expect.poll(turnBesideGoodOnes, soon).toMatchObject({ confirmed: 20, refused: 1 })
  const ids = (await lane.take(lane.name)).map(({ messageId }) => messageId)
  expect(new Set(ids).size).toBe(ids.length)
  // Each refusal cost one channel: the bad row's own.
  expect(relay.saw('broker.channel-closed')).toHaveLength(relay.saw('relay.refused').length)
})

test('several rows that close the channel are all found in one turn', async () => {
  const relay = lane.relay()
  await lane.commit(bad('missing.1'), good(1), bad('missing.2'), good(2), bad('missing.3'))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 2, refused: 3, unknown: 0 })
  expect(await lane.rows()).toBe(3)
})

test('suspects that the link leaves untried are not counted, and go out when it is back', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const batches: unknown[] = []
  const relay = lane.relay({
    rabbitmqUrl: proxy.url,
    observe: (observation) => {
      if (observation.kind === 'relay.batch') batches.push(observation)
      // The rows in flight with the bad one go one by one from now on: the first time they cannot.
      if (observation.kind === 'broker.channel-closed' && batches.length === 0) proxy.cut()
    },
  })
  await lane.commit(...[1, 2, 3].map(good), bad('missing'), ...[4, 5, 6].map(good))
  await Promise.allSettled([relay.runOnce()])
  const isNoLess = expect.toSatisfy((count: number) => count >= 0)
  expect(batches).not.toEqual([])
  for (const batch of batches) expect(batch).toMatchObject({ confirmed: isNoLess, refused: 0, unknown: isNoLess })
  proxy.resume()
  const rowsLeft = async () => {
    await Promise.allSettled([relay.runOnce()])
    return lane.rows()
  }
  await expect.poll(rowsLeft, soon).toBe(1)
})

test('a row that a full queue turns away is refused, and goes out when there is room', async () => {
  const queue = `${lane.name}.full`
  const full = { 'x-max-length': 1, 'x-overflow': 'reject-publish' }
  await lane.channel.assertQueue(queue, { durable: true, arguments: full })
  const relay = lane.relay({ pollMs: 600_000 })
  await lane.commit({ routingKey: queue, payload: 1 }, { routingKey: queue, payload: 2 })
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1, refused: 1, unknown: 0 })
  expect(relay.saw('relay.refused')).toMatchObject([{ reason: 'message nacked' }])
  expect(await lane.take(queue)).toHaveLength(1)
  await expect.poll(() => relay.runOnce(), soon).toMatchObject({ confirmed: 1, refused: 0 })
  expect(await lane.rows()).toBe(0)
})

test('a row that cannot be encoded is refused, and the others pass', async () => {
  const relay = lane.relay()
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, payload) values ($1, gen_random_uuid(), repeat('k', 256), '1')`,
    [lane.id],
  )
  await lane.commit(good(1))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1, refused: 1, unknown: 0 })
  expect(relay.saw('broker.channel-closed')).toEqual([])
})
