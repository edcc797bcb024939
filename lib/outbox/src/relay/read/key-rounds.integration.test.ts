import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { ownLane } from '../../../test/own-lane.ts'
import { passesOf } from '../../../test/passes-of.ts'
import { lane, useLane } from '../../../test/use-lane.ts'
import { fallAsleep } from '../wake/sleep.ts'
import { lookAtLanes } from './look-at-lanes.ts'
import { readKeyLane } from './read-key-lane.ts'

useLane()

afterEach(() => lane.db.query('truncate outbox_message'))

const keyLane = 'key 1'
const never = new AbortController().signal
const long = { firstMs: 600_000, capMs: 600_000 }

/** As many as close their destination, and as many more as are held each for itself. */
const mostHeld = 11_000

/** Rows of keys, each to the queue beside it. */
const commit = (...rows: (readonly [key: string, queue: string, payload: unknown])[]) =>
  lane.db.query(
    `insert into outbox_message (lane, message_id, ordering_key, routing_key, payload)
     select id, gen_random_uuid(), message ->> 0, message ->> 1, message -> 2
     from outbox_lane, json_array_elements($2) as message where name = $1`,
    [keyLane, JSON.stringify(rows)],
  )

/** Keys whose first rows are each to a queue of its own that is not there; behind each of them is a row to the lane's. */
const commitToMissing = async (count: number) => {
  const keys = Array.from({ length: count }, (_, index) => `key ${String(index + 1).padStart(6, '0')}`)
  await commit(...keys.map((key) => [key, `${lane.name}.${key}`, `first of ${key}`] as const))
  await commit(...keys.map((key) => [key, lane.name, `second of ${key}`] as const))
  return keys
}

const rowsLeft = async (): Promise<number> => (await lane.db.query('select from outbox_message')).rowCount ?? 0

const payloads = async (queue = lane.name) => (await lane.take(queue)).map(({ payload }) => payload)

test('keys that a round has passed rest for reads and looks until the next one is due, and so does nothing else', async () => {
  const owned = await ownLane('relay', keyLane, long)
  await commit(['a', 'missing', 1], ['c', 'missing', 2])
  const { rows, ended } = await readKeyLane(owned, 10)
  expect(rows).toHaveLength(2)
  ended?.(rows.length)
  expect(await fallAsleep(owned, never)).toMatchObject({
    kind: 'sleep',
    nextMs: expect.toSatisfy((ms) => ms > 100_000),
  })
  expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [] })
  owned.keyRounds.took('there')
  await commit(['b', 'there', 3], ['c', 'there', 4])
  expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: true }])
  expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [{ orderingKey: 'b' }] })
  await lane.db.query(`delete from outbox_message where ordering_key = 'b'`)
  expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: false }])

  const dueMs = performance.now() + (owned.keyRounds.nextMs() ?? 0)
  vi.spyOn(performance, 'now').mockImplementation(() => dueMs)
  onTestFinished(() => void vi.restoreAllMocks())
  expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: true }])
  expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [{ routingKey: 'missing' }, { routingKey: 'missing' }] })
})

test('of keys whose next rows are to thirty thousand queues that are not there a few are held, and others go on', async () => {
  const count = 30_000
  const owned = await ownLane('relay', keyLane, long)
  const pass = await passesOf(owned)
  await commitToMissing(count)
  const good = Array.from({ length: 5 }, (_, index) =>
    ['a', 'z'].map((key) => [key, lane.name, `${key}${index}`] as const),
  )
  await commit(...good.flat())
  let tried = 0
  for (let read = 1; read > 0 && tried < 4 * count; tried += read) ({ read } = await pass())
  expect(tried).toBe(count + good.flat().length)
  expect(owned.held.waiting()).toHaveLength(mostHeld)
  expect(await rowsLeft()).toBe(2 * count)
  expect((await lane.db.query('select from outbox_parked')).rowCount).toBe(0)
  const taken = (await payloads()).map(String)
  for (const key of ['a', 'z']) {
    expect(taken.filter((payload) => payload.startsWith(key))).toEqual([0, 1, 2, 3, 4].map((index) => `${key}${index}`))
  }
  expect(taken).toHaveLength(good.flat().length)

  const isLong = expect.toSatisfy((ms: number) => ms > 100_000)
  expect(await fallAsleep(owned, never)).toEqual({ kind: 'sleep', nextMs: isLong })
  await commit(['new', lane.name, 'new'], ['another', `${lane.name}.another`, 'waits'])
  expect(await pass()).toMatchObject({ read: 1, confirmed: 1 })
  expect(await pass()).toMatchObject({ read: 0 })
}, 180_000)

test('of keys to one queue that is not there, however many, no more than were in flight are tried', async () => {
  const count = 30_000
  const owned = await ownLane('relay', keyLane, long)
  const pass = await passesOf(owned)
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, ordering_key, payload)
     select $1, gen_random_uuid(), $2, 'key ' || number, '1' from generate_series(1, $3::int) as number`,
    [owned.lane, `${lane.name}.missing`, count],
  )
  let tried = 0
  for (let read = 1; read > 0; tried += read) ({ read } = await pass())
  expect(tried).toBeLessThan(4_000)
  expect(owned.held.waiting()).toHaveLength(1)
  expect(await rowsLeft()).toBe(count)
}, 60_000)

test('each queue of thousands that comes late gets the rows of its key, and those behind them come next', async () => {
  const count = mostHeld + 1_500
  const soon = { timeout: 60_000, interval: 50 }
  const relay = lane.relay({ lane: keyLane, parkAfter: 1, refusedBackoff: { firstMs: 500, capMs: 1_000 } })
  const keys = await commitToMissing(count)
  await relay.start()
  const refused = () =>
    relay.saw('relay.refused').reduce((sum, seen) => sum + (seen.kind === 'relay.refused' ? seen.count : 0), 0)
  await expect.poll(refused, soon).toBeGreaterThan(count)
  // Of one the destination is closed, one is held for itself, and one was left.
  const late = [keys[0], keys[5_000], keys.at(-1)]
  for (const key of late) await lane.declareQueue(`${lane.name}.${key}`)
  await expect.poll(rowsLeft, soon).toBe(2 * (count - late.length))
  for (const key of late) expect(await payloads(`${lane.name}.${key}`)).toEqual([`first of ${key}`])
  expect((await payloads()).map(String).toSorted()).toEqual(late.map((key) => `second of ${key}`).toSorted())
  expect(relay.saw('relay.parked')).toEqual([])
}, 180_000)
