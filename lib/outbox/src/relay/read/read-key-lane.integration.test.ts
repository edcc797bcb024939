import { afterEach, expect, test } from 'vitest'
import { ownLane } from '../../../test/own-lane.ts'
import { lane, useLane } from '../../../test/use-lane.ts'
import { lookAtLanes } from './look-at-lanes.ts'
import { readKeyLane } from './read-key-lane.ts'

const soon = { timeout: 20_000, interval: 20 }

useLane()

afterEach(() => lane.db.query('truncate outbox_message, outbox_parked'))

const due = { firstMs: 0, capMs: 0 }

const insert = (table: 'outbox_message' | 'outbox_parked', key: string | null, count = 1) =>
  lane.db.query(
    `insert into ${table} (lane, message_id, routing_key, ordering_key, payload
       ${table === 'outbox_parked' ? ', id, exchange, headers, created_at, reason, attempts' : ''})
     select id, gen_random_uuid(), 'any', $1, '1' ${table === 'outbox_parked' ? `, 0, '', '{}', now(), 'test', 1` : ''}
     from outbox_lane, generate_series(1, $2::int) where name = 'key 1'`,
    [key, count],
  )

test('what waits behind a parked key is passed in one step by a look and by a read', async () => {
  const waiting = 10_000
  await insert('outbox_parked', 'a')
  await insert('outbox_message', 'a', waiting)
  await lane.forgetReads()
  const owned = await ownLane('reader', 'key 1')
  for (let turn = 0; turn < 20; turn += 1) {
    expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: false }])
    expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [] })
  }
  await insert('outbox_message', 'b')
  expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: true }])
  expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [{ orderingKey: 'b' }] })
  await owned.session.close()
  const passed = () => lane.rowsRead('outbox_message')
  await expect.poll(passed, soon).toBeGreaterThan(0)
  // Once they are searched for a row without a key.
  expect(await passed()).toBeLessThan(2 * waiting)
})

test('a row without a key goes by itself, and the next one when it is gone', async () => {
  const owned = await ownLane('reader', 'key 1')
  await insert('outbox_message', 'a')
  await insert('outbox_message', null, 2)
  for (const rows of [[{ orderingKey: 'a' }, { orderingKey: null }], [{ orderingKey: null }], []]) {
    expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: rows.length > 0 }])
    const batch = await readKeyLane(owned, 10)
    expect(batch).toMatchObject({ rows })
    await lane.db.query('delete from outbox_message where id = any($1)', [batch.rows.map(({ id }) => String(id))])
  }
  // For a minute.
  await insert('outbox_message', null)
  expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: false }])
})

test('a parked row without a key holds back those without one, and none that has a key', async () => {
  const owned = await ownLane('reader', 'key 1')
  await insert('outbox_parked', null)
  await insert('outbox_message', null, 2)
  expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: false }])
  await insert('outbox_message', 'a')
  expect(await lookAtLanes(owned.session, [owned])).toMatchObject([{ waiting: true }])
  expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [{ orderingKey: 'a' }] })
})

test('a refused row behind another one of its key is not taken for one that is gone', async () => {
  const owned = await ownLane('reader', 'key 1', due)
  await insert('outbox_message', 'a', 2)
  const { rows } = await lane.db.query<{ id: string }>('select id from outbox_message order by id')
  const [earlier, later] = rows.map(({ id }) => BigInt(id))
  // The earlier one comes back from the parked ones, or committed late.
  owned.held.hold({ id: later ?? 0n, key: 'a' }, 'unroutable')
  expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [{ id: earlier }] })
  expect(owned.held.hold({ id: later ?? 0n, key: 'a' }, 'unroutable')).toMatchObject({ attempt: 2 })
  await lane.db.query('delete from outbox_message')
  owned.known.clear()
  expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [] })
  expect(owned.held.isEmpty()).toBe(true)
})

test('a refused row without a key is not taken for one that is gone when none is looked for', async () => {
  const owned = await ownLane('reader', 'key 1', due)
  owned.held.hold({ id: 1n, key: '' }, 'unroutable')
  owned.strays.foundNone()
  expect(await readKeyLane(owned, 10)).toMatchObject({ rows: [] })
  expect(owned.held.keyOf(1n)).toBe('')
})
