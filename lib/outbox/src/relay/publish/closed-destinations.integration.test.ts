import { explainStatements } from '@esteira/test/support'
import pg from 'pg'
import { expect, test } from 'vitest'
import { enqueue } from '../../enqueue/enqueue.ts'
import { ownLane } from '../../../test/own-lane.ts'
import { passesOf } from '../../../test/passes-of.ts'
import { database, lane, useLane } from '../../../test/use-lane.ts'

const soon = { timeout: 10_000, interval: 20 }

useLane()

const good = (payload: unknown) => ({ routingKey: lane.name, payload })

const bad = (exchange: string) => ({ exchange, routingKey: 'any', payload: 'bad' })

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

test('a row that is due, and is to go along with one that commits late, is tried once a turn', async () => {
  const message = await declareHeadersExchange()
  const relay = lane.relay({ parkAfter: 1_000, refusedBackoff: { firstMs: 200, capMs: 200 } })
  const slow = new pg.Client(database.url)
  await slow.connect()
  await slow.query('begin')
  await enqueue(slow, message('bad'), { lane: lane.id })
  await lane.commit(message('good'), message('bad'))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1, refused: 1 })
  await slow.query('commit')
  await slow.end()
  const reads: number[] = []
  const readBoth = async () => {
    const turn = await relay.runOnce()
    reads.push(turn.kind === 'done' ? turn.read : 0)
    return reads.filter((read) => read >= 2).length
  }
  await expect.poll(readBoth, soon).toBeGreaterThan(2)
  expect(Math.max(...reads), 'the lane has two rows').toBe(2)
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
  // Each minute a look below the floor passes them.
  expect(passed).toBeLessThan(3 * backlog)
}, 60_000)

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
