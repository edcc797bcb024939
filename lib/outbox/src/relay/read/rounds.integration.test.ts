import pg from 'pg'
import { expect, onTestFinished, test, vi } from 'vitest'
import { enqueue } from '../../enqueue/enqueue.ts'
import { ownLane } from '../../../test/own-lane.ts'
import { passesOf } from '../../../test/passes-of.ts'
import { database, lane, useLane } from '../../../test/use-lane.ts'
import { fallAsleep } from '../wake/sleep.ts'
import { lookAtLanes } from './look-at-lanes.ts'
import { readFromFloor } from './read-lane.ts'

useLane()

const never = new AbortController().signal

/** A message each to so many queues that are not there; the last one is the most recent. */
const commitToMissing = (count: number) =>
  lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, payload)
     select $1, gen_random_uuid(), $2 || number, to_json(number) from generate_series(1, $3::int) as number`,
    [lane.id, `${lane.name}.`, count],
  )

const good = (payload: unknown) => ({ routingKey: lane.name, payload })

test('the floor stays below what a round has passed, and the next round begins there', async () => {
  const owned = await ownLane('relay', lane.name, { firstMs: 600_000, capMs: 600_000 })
  await lane.commit(good(1), good(2))
  const { rows, ended } = await readFromFloor(owned, 10)
  expect(rows).toHaveLength(2)
  owned.known.clear()
  ended?.(rows.length)
  // It draws an xid, and waits until all that are older have ended.
  expect(await fallAsleep(owned, never)).toMatchObject({ kind: 'sleep' })
  expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: false }])
  expect(owned.pointers.floor()).toBe(0n)
  expect(await readFromFloor(owned, 10)).toMatchObject({ rows: [] })
  expect(owned.pointers.floor()).toBe(0n)
  const nextMs = owned.rounds.nextMs() ?? 0
  const startedMs = performance.now()
  vi.spyOn(performance, 'now').mockImplementation(() => startedMs + nextMs)
  onTestFinished(() => void vi.restoreAllMocks())
  expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: true }])
  expect((await readFromFloor(owned, 10)).rows).toHaveLength(2)
})

/** As many as close their destination, and as many more as are held each for itself. */
const mostHeld = 11_000

test('of messages to a hundred thousand queues that are not there a few are held, none is parked, and the lane sleeps', async () => {
  const count = 100_000
  const owned = await ownLane('relay', lane.name, { firstMs: 600_000, capMs: 600_000 })
  const pass = await passesOf(owned)
  await lane.commit(good('first'))
  await commitToMissing(count)
  await lane.commit(good('last'))
  let tried = 0
  for (let read = 1; read > 0 && tried < 4 * count; tried += read) ({ read } = await pass())
  // What is left is tried when it is read on, when it is read from the floor, and once more where that was cut short.
  expect(tried).toBeLessThan(3 * count)
  expect(owned.held.waiting()).toHaveLength(mostHeld)
  expect(await lane.rows()).toBe(count)
  expect((await lane.db.query('select from outbox_parked')).rowCount).toBe(0)
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual(['first', 'last'])

  const isLong = expect.toSatisfy((ms: number) => ms > 100_000)
  expect(await fallAsleep(owned, never)).toEqual({ kind: 'sleep', nextMs: isLong })
  await lane.commit(good('new'), { routingKey: `${lane.name}.another`, payload: 'waits' })
  expect(await pass()).toMatchObject({ read: 2, confirmed: 1 })
  expect(await pass()).toMatchObject({ read: 0 })
}, 300_000)

test('each queue of thousands that comes late gets its messages, and one that commits late goes out', async () => {
  const count = mostHeld + 1_500
  const soon = { timeout: 60_000, interval: 50 }
  const relay = lane.relay({ parkAfter: 1, refusedBackoff: { firstMs: 500, capMs: 1_000 } })
  const slow = new pg.Client(database.url)
  onTestFinished(() => slow.end())
  await slow.connect()
  await slow.query('begin')
  await enqueue(slow, good('slow'), { lane: lane.id })
  await commitToMissing(count)
  await relay.start()
  const triedOnce = () =>
    relay.saw('relay.refused').reduce((sum, seen) => sum + (seen.kind === 'relay.refused' ? seen.count : 0), 0)
  await expect.poll(triedOnce, soon).toBeGreaterThan(count)
  await slow.query('commit')
  // One that closed its destination, one that is held for itself, and one that was left.
  const late = [1, 5_000, count]
  for (const number of late) await lane.declareQueue(`${lane.name}.${number}`)
  await expect.poll(() => lane.rows(), soon).toBe(count - late.length)
  for (const number of late) expect(await lane.take(`${lane.name}.${number}`)).toMatchObject([{ payload: number }])
  expect(await lane.take(lane.name)).toMatchObject([{ payload: 'slow' }])
  expect(relay.saw('relay.parked')).toEqual([])
}, 180_000)
