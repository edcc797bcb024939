import { expect, onTestFinished, test } from 'vitest'
import { startClosingProxy } from '../../../test/closing-proxy.ts'
import { lane, useLane, vhost } from '../../../test/use-lane.ts'

const soon = { timeout: 30_000, interval: 20 }

useLane('quorum')

/** Words that no other message has in it. */
const poison = 'rk.poison'

const good = (payload: unknown) => ({ routingKey: lane.name, payload })

const bad = { routingKey: poison, payload: 'bad' }

/** A relay of whose rows one ends the connection, for all lanes on it. */
const poisonedRelay = async (
  options: Parameters<typeof lane.relay>[0] = {},
  { replyCode = 541, words = poison } = {},
) => {
  const proxy = await startClosingProxy(vhost.url, words, replyCode)
  onTestFinished(proxy.stop)
  const refusedBackoff = { firstMs: 10, capMs: 10 }
  return { proxy, relay: lane.relay({ rabbitmqUrl: proxy.url, refusedBackoff, pollMs: 600_000, ...options }) }
}

/** How often each payload is in the lane's queue. */
const countTaken = async (): Promise<Map<unknown, number>> => {
  const counts = new Map<unknown, number>()
  for (const { payload } of await lane.take(lane.name)) counts.set(payload, (counts.get(payload) ?? 0) + 1)
  return counts
}

test('the one row among a thousand over which the broker closes the connection is found and parked alone', async () => {
  const { proxy, relay } = await poisonedRelay({ parkAfter: 2 })
  const numbers = Array.from({ length: 1_000 }, (_, index) => index)
  await lane.commit(...numbers.slice(0, 300).map(good), bad, ...numbers.slice(300).map(good))
  await relay.start()
  await expect.poll(() => relay.saw('relay.parked').length, soon).toBe(1)
  await expect.poll(() => lane.rows(), soon).toBe(0)
  expect(relay.saw('relay.parked')).toMatchObject([{ count: 1, reason: expect.stringContaining('541') }])
  expect(relay.saw('relay.refused')).toMatchObject([
    { count: 1, routingKey: poison, attempt: 1 },
    { count: 1, routingKey: poison, attempt: 2 },
  ])
  const taken = await countTaken()
  expect(new Set(taken.keys())).toEqual(new Set(numbers))
  // With the bad one beside it, in the turn of its lane, and alone.
  expect(Math.max(...taken.values())).toBeLessThanOrEqual(3)
  // The same, and the bad row alone once more. In the first one other batches may be on their way as well.
  expect(proxy.closings()).toBeLessThanOrEqual(5)
})

test('of lanes on one connection only the rows that close it are refused, when several have one', async () => {
  const { proxy, relay } = await poisonedRelay({ adopt: true, parkAfter: 2 })
  const keys = Array.from({ length: 40 }, (_, index) => `key ${index}`)
  const keyed = keys.map((orderingKey) => ({ ...good(orderingKey), orderingKey }))
  const numbers = Array.from({ length: 200 }, (_, index) => index)
  const badKeys = ['first bad key', 'second bad key', 'third bad key']
  await lane.commit(
    ...numbers.map(good),
    bad,
    ...keyed,
    ...badKeys.map((orderingKey) => ({ ...bad, orderingKey })),
    ...keys.map((orderingKey) => ({ ...good(`${orderingKey} later`), orderingKey })),
  )
  await relay.start()
  const rows = async () => (await lane.db.query('select from outbox_message')).rowCount
  await expect.poll(rows, soon).toBe(0)
  const { rows: parked } = await lane.db.query(
    'select routing_key, ordering_key from outbox_parked where lane = $1 or ordering_key is not null',
    [lane.id],
  )
  expect(parked).toHaveLength(4)
  expect(new Set(parked.map(({ ordering_key }) => ordering_key))).toEqual(new Set([...badKeys, null]))
  expect(parked.every(({ routing_key }) => routing_key === poison)).toBe(true)
  expect(relay.saw('relay.refused').every((seen) => Reflect.get(seen, 'routingKey') === poison)).toBe(true)
  const taken = (await lane.take(lane.name)).map(({ payload }) => payload)
  const expected = [...numbers, ...keys, ...keys.map((key) => `${key} later`)]
  expect(new Set(taken)).toEqual(new Set(expected))
  for (const key of keys) expect(taken.lastIndexOf(key)).toBeLessThan(taken.indexOf(`${key} later`))
  expect(proxy.closings()).toBeLessThanOrEqual(20)
  // What became of the connection is told once, with RabbitMQ's words, and not by each lane that finds none.
  expect(relay.saw('broker.lost')).toHaveLength(proxy.closings())
  expect(relay.saw('broker.lost').every((seen) => String(Reflect.get(seen, 'reason')).includes('541'))).toBe(true)
  expect(relay.saw('broker.unavailable')).toEqual([])
}, 60_000)

test('rows that come beside one that closes the connection each time go out before it is tried again', async () => {
  const { relay } = await poisonedRelay({ parkAfter: 1_000 })
  await lane.commit(bad)
  const turnBesideGoodOnes = async () => {
    await lane.commit(...Array.from({ length: 5 }, (_, index) => good(index)))
    return relay.runOnce()
  }
  await expect.poll(() => relay.runOnce(), soon).toMatchObject({ refused: 1 })
  for (let turn = 0; turn < 3; turn += 1) {
    // Its time comes within 10 ms, a turn that came before that had only the good ones.
    await expect.poll(turnBesideGoodOnes, soon).toMatchObject({ confirmed: 5, refused: 1 })
  }
})

test('a connection that is closed by an order makes no row a suspect', async () => {
  const { relay } = await poisonedRelay({}, { replyCode: 320 })
  await lane.commit(good(1), bad, good(2))
  await relay.start()
  await expect.poll(() => relay.saw('broker.lost').length, soon).toBeGreaterThan(2)
  expect(relay.saw('relay.refused')).toEqual([])
  expect(relay.saw('relay.batch')).toContainEqual(expect.objectContaining({ unknown: 3 }))
})

/** The numbers of class and method, as they are in the frame of each message that is published. */
const anyMessage = '\u0000<\u0000('

test('a RabbitMQ that closes the connection over whatever it is sent has no row refused', async () => {
  const { proxy, relay } = await poisonedRelay({ parkAfter: 1 }, { words: anyMessage })
  await lane.commit(...[1, 2, 3].map(good))
  await relay.start()
  // The three together, alone on the connection, and then one of them by itself, more than once.
  await expect.poll(() => relay.saw('broker.lost').length, soon).toBeGreaterThan(6)
  expect(relay.saw('relay.refused')).toEqual([])
  expect(await lane.rows()).toBe(3)
  proxy.letThrough()
  await expect.poll(() => lane.rows(), soon).toBe(0)
  expect((await countTaken()).size).toBe(3)
  expect(relay.saw('relay.parked')).toEqual([])
})
