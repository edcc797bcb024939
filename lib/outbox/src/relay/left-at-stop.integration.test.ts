import { runOn, startProxy, waitFor } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { hearUncaught } from '../../test/hear-uncaught.ts'
import { openLink } from '../../test/open-link.ts'
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
  ownsKeyLanes,
  patient,
  startTwo,
  tookLanes,
  type WatchedRelay,
  window,
} from '../../test/stops.ts'
import { database, lane, useLane, vhost } from '../../test/use-lane.ts'

// What a relay leaves to its neighbours when it stops, and when.

useLane()

test('a lane that was adopted is left to the neighbours at once, with its rows', async () => {
  const way = await startProxy(vhost.url)
  onTestFinished(way.stop)
  const always = await addLane()
  const { proxy, first } = await startTwo(await openNeighbour(way.url))
  // The neighbour is to take nothing yet, and the first relay to get no confirm.
  way.cut()
  proxy.pause()
  await fill(always.id, 1_000)
  await waitFor(async () => (await lane.count(lane.name)) === window, patient)
  const stopped = first.stop({ graceMs: endless })
  await hasLeft(first, 1)
  proxy.resume()
  await stopped
  expect(first.saw('relay.stopped')).toMatchObject([{ emptied: false }])
  // What was on its way is deleted; beside confirms that were late some may have come after it.
  expect(await always.rowsLeft()).toBeGreaterThan(500)
  expect(await always.rowsLeft()).toBeLessThanOrEqual(1_000 - window)
  way.resume()
  await waitFor(async () => (await always.rowsLeft()) === 0, patient)
  expect(await lane.count(lane.name)).toBe(1_000)
}, 120_000)

test('a lane that is left to a neighbour is not let go before what was confirmed is deleted', async () => {
  const always = await addLane()
  await fill(always.id, 1)
  onTestFinished(async () => void (await runOn(database.url, 'drop function if exists refuse cascade')))
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
  await waitFor(() => begun() === 2 || released().includes(always.name))
  expect(released()).not.toContain(always.name)
  await lane.db.query('drop function refuse cascade')
  await stopped
  expect(await always.rowsLeft()).toBe(0)
  expect(await lane.count(lane.name)).toBe(1)
})

/** Resolves when a neighbour has looked for lanes, and found one that is new. */
const hasLooked = async () => {
  const { id, rowsLeft } = await addLane()
  await fill(id, 1)
  await waitFor(async () => (await rowsLeft()) === 0, patient)
}

test('a key whose message has no confirm yet is handed over after that, with its messages once and in order', async () => {
  const { proxy, first, other } = await startTwo()
  proxy.pause()
  const numbers = Array.from({ length: 50 }, (_, index) => index)
  await lane.commit(...numbers.map((payload) => ({ routingKey: lane.name, payload, orderingKey: 'one' })))
  await waitFor(async () => (await lane.count(lane.name)) === 1, patient)
  const stopped = first.stop({ graceMs: endless })
  await hasLeft(first, 1)
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
  await hasLeft(first, 1)
  await hasLooked()
  expect(keyLanesOf(other)).toBe(0)
  proxy.resume()
  await waitFor(ownsKeyLanes(other), patient)
  await stopped
  expect(other.saw('relay.fenced')).toEqual([])
}, 180_000)

/** A row of the relay's own lane, and always another one. */
const keepOwnFilled = async () => {
  await lane.declareQueue(`${lane.name} own`)
  return keepFilled(lane.id, `${lane.name} own`)
}

test('the lanes of keys that are left to a neighbour are its own while the first relay still empties its own', async () => {
  const { first, other } = await startTwo()
  const endOwn = await keepOwnFilled()
  const stopped = first.stop({ graceMs: endless })
  await waitFor(ownsKeyLanes(other), patient)
  await lane.commit(...keyedFor(lane.name))
  await waitFor(async () => (await lane.count(lane.name)) === 100, patient)
  expect(first.saw('relay.stopped')).toEqual([])
  await endOwn()
  await stopped
}, 180_000)

/** A fault of the relay itself: it fails when it closes the channel of a lane next. */
const failToClose = async () => {
  const channel = (await openLink()).connection().createConfirmChannel(() => {})
  const prototype: object = Object.getPrototypeOf(channel)
  const mend = () => void Reflect.deleteProperty(prototype, 'close')
  const fail = () => {
    mend()
    throw new Error('a fault of our own')
  }
  Object.defineProperty(prototype, 'close', { value: fail, configurable: true })
  onTestFinished(mend)
}

/** Sessions that the relay has at Postgres. */
const sessions = async () => {
  const { rowCount } = await lane.db.query('select from pg_stat_activity where application_name = $1', [
    `outbox relay ${lane.name}`,
  ])
  return rowCount
}

test.each([
  { when: 'before its own lane is empty', graceMs: endless, emptiesOwn: true },
  { when: 'and whose grace ends before its own lane is empty', graceMs: 1_000, emptiesOwn: false },
])(
  'one that fails to leave a lane, $when, says so at its end, and keeps nothing',
  async ({ graceMs, emptiesOwn }) => {
    const uncaught = hearUncaught()
    const { proxy, first, other } = await startTwo()
    const endOwn = await keepOwnFilled()
    await waitFor(async () => (await lane.count(`${lane.name} own`)) > 0, patient)
    await failToClose()
    const stopped = Promise.allSettled([first.stop({ graceMs })])
    await hasLeft(first, 1)
    if (emptiesOwn) await endOwn()
    expect(await stopped).toMatchObject([{ status: 'rejected', reason: { message: 'a fault of our own' } }])
    expect(first.saw('relay.stopped')).toMatchObject([{ emptied: false }])
    await waitFor(async () => (await sessions()) === 0, patient)
    await waitFor(() => proxy.connections() === 0, patient)
    await waitFor(ownsKeyLanes(other), patient)
    expect(uncaught).toEqual([])
  },
  180_000,
)

/** How many messages of a lane the relay has carried. */
const carriedOf = (relay: WatchedRelay, name: string) =>
  relay
    .saw('relay.batch')
    .reduce((sum, batch) => sum + (batch.kind === 'relay.batch' && batch.lane === name ? batch.confirmed : 0), 0)

test('a neighbour that comes while a relay stops alone has the lanes of keys, and what of those is not emptied yet', async () => {
  const always = await addLane()
  const [first, other] = [lane.relay({ adopt: true }), await openNeighbour()]
  await first.start()
  await waitFor(areAllAsleep, patient)
  const [endOwn, endAlways] = [await keepOwnFilled(), await keepFilled(always.id)]
  const stopped = first.stop({ graceMs: endless })
  await hasLeft(first, 0)
  await other.start()
  await waitFor(ownsKeyLanes(other), patient)
  await waitFor(() => tookLanes(other).includes(always.name), patient)
  await endAlways()
  await waitFor(async () => (await always.rowsLeft()) === 0, patient)
  expect(carriedOf(other, always.name)).toBeGreaterThan(0)
  await lane.commit(...keyedFor(lane.name))
  await waitFor(async () => (await keyedLeft()) === 0, patient)
  expect(first.saw('relay.stopped')).toEqual([])
  await endOwn()
  await stopped
}, 180_000)

test('one that leaves to a neighbour what is due and locked does not say that its lanes were emptied', async () => {
  await lane.commit({ routingKey: lane.name, payload: 'locked', orderingKey: 'key 1', delayMs: 3_600_000 })
  const [first, other] = [lane.relay({ adopt: true }), await openNeighbour()]
  await first.start()
  await waitFor(areAllAsleep, patient)
  // The lanes wake up for the stop, and cannot look before the row is due.
  const table = new pg.Client(database.url)
  await table.connect()
  onTestFinished(() => table.end())
  await table.query('begin; lock table outbox_message in access exclusive mode')
  const stopped = first.stop({ graceMs: endless })
  const waiters = `select from pg_locks where not granted and relation = 'outbox_message'::regclass`
  await waitFor(async () => (await lane.db.query(waiters)).rowCount === 1, patient)
  await lane.db.query(`update outbox_scheduled set available_at = 'epoch'`)
  await lane.db.query('begin; select from outbox_scheduled for update')
  await table.query('commit')
  await hasLeft(first, 0)
  await other.start()
  await stopped
  expect(first.saw('relay.stopped')).toMatchObject([{ emptied: false }])
  await lane.db.query('rollback')
  await waitFor(async () => (await lane.count(lane.name)) === 1, patient)
}, 180_000)
