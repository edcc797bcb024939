import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { ownLane } from '../../../test/own-lane.ts'
import { database, lane, useLane } from '../../../test/use-lane.ts'
import { orderingLockClass } from '../../register/ordering-lock.ts'
import { moveDue } from './move-due.ts'
import { createMovePlace } from './move-place.ts'

const soon = { timeout: 20_000, interval: 20 }

useLane()

/** The lane as a relay has a key lane; `now` is the clock by which a move begins at the first row now and then. */
const ownKeyLane = async (now: () => number = () => 0) => {
  const owned = await ownLane('mover of keys')
  return { ...owned, kind: 'key' as const, movePlace: createMovePlace(now) }
}

/** Due rows, one a millisecond from the epoch on, of the keys in turn, each with its number as its payload. */
const insertDue = (count: number, keys: readonly string[], first = 1) =>
  lane.db.query(
    `insert into outbox_scheduled (lane, message_id, routing_key, ordering_key, payload, available_at)
     select $1, gen_random_uuid(), $2, ($3::text[])[1 + (number - 1) % cardinality($3::text[])], to_json(number),
       'epoch'::timestamptz + number * interval '1 millisecond'
     from generate_series($5::int, $5::int + $4::int - 1) as number`,
    [lane.id, lane.name, keys, count, first],
  )

/** A due row before all others, as `enqueue` writes it: its key is locked before its id is drawn. */
const insertLate = async (db: pg.Client, key: string): Promise<void> => {
  await db.query('begin')
  await db.query('select pg_advisory_xact_lock($1, hashtext($2))', [orderingLockClass, key])
  await db.query(
    `insert into outbox_scheduled (lane, message_id, routing_key, ordering_key, payload, available_at)
     values ($1, gen_random_uuid(), $2, $3, '"late"', '1969-01-01')`,
    [lane.id, lane.name, key],
  )
}

const openClient = async (): Promise<pg.Client> => {
  const client = new pg.Client(database.url)
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

/** What was moved of a key, in order. */
const movedOf = async (key: string): Promise<unknown[]> => {
  const { rows } = await lane.db.query(
    'select payload from outbox_message where lane = $1 and ordering_key = $2 order by id',
    [lane.id, key],
  )
  return rows.map(({ payload }) => payload)
}

test('no row is looked up through the whole lane, though the statistics are of when it was empty', async () => {
  // It was vacuumed while a page of it held a row that was gone since, and takes each page for as empty.
  await lane.db.query('delete from outbox_scheduled')
  await insertDue(1, ['a'])
  const pin = await openClient()
  await pin.query('begin isolation level repeatable read; select from outbox_scheduled limit 1')
  await lane.db.query('delete from outbox_scheduled')
  await lane.db.query('vacuum analyze outbox_scheduled')
  await pin.query('rollback')
  await insertDue(10_000, ['a', 'b'])
  const owned = await ownKeyLane()
  const blocks = async () => {
    const { rows } = await lane.db.query<{ blocks: number }>(
      `select (idx_blks_hit + idx_blks_read)::int as blocks from pg_statio_user_tables where relname = 'outbox_scheduled'`,
    )
    return rows[0]?.blocks ?? 0
  }
  await lane.forgetReads()
  for (let batch = 0; batch < 4; batch += 1) expect(await moveDue(owned, 500)).toBe(500)
  await owned.session.close()
  await expect.poll(blocks, soon).toBeGreaterThanOrEqual(2_000)
  expect(await blocks()).toBeLessThan(10 * 2_000)
})

test('to move a batch no more rows are read than are moved, also with keys and beside a snapshot', async () => {
  await insertDue(
    10_000,
    Array.from({ length: 500 }, (_, index) => `key ${index}`),
  )
  const owned = await ownKeyLane()
  const pin = await openClient()
  await pin.query('begin isolation level repeatable read; select from outbox_scheduled limit 1')
  await lane.forgetReads()
  for (let batch = 0; batch < 20; batch += 1) expect(await moveDue(owned, 500)).toBe(500)
  await owned.session.close()
  const read = () => lane.rowsRead('outbox_scheduled')
  await expect.poll(read, soon).toBeGreaterThanOrEqual(2 * 10_000)
  expect(await read()).toBeLessThan(3 * 10_000)
})

test('a row that comes before the place holds back those of its key that are behind it, and no others', async () => {
  await insertDue(60, ['a', 'b'])
  let nowMs = 0
  const owned = await ownKeyLane(() => nowMs)
  for (let move = 0; move < 2; move += 1) expect(await moveDue(owned, 10)).toBe(10)
  await insertLate(lane.db, 'a')
  await lane.db.query('commit')
  expect(await moveDue(owned, 10)).toBe(10)
  const first = [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]
  expect(await movedOf('a')).toEqual(first)
  expect(await movedOf('b')).toHaveLength(20)
  // Who else moves the row takes it from before the place, and those that were left are still to come.
  await lane.db.query(`delete from outbox_scheduled where lane = $1 and payload #>> '{}' = 'late'`, [lane.id])
  expect(await moveDue(owned, 10)).toBe(10)
  expect(await movedOf('a')).toEqual(first)
  await insertLate(lane.db, 'a')
  await lane.db.query('commit')
  nowMs = 3_600_000
  while ((await moveDue(owned, 10)) > 0);
  expect(await movedOf('a')).toEqual([...first, 'late', ...Array.from({ length: 20 }, (_, index) => 21 + 2 * index)])
})

test('a row that somebody has locked is waited for by its key, and by nothing else', async () => {
  await insertDue(40, ['a', 'b'])
  const other = await openClient()
  await other.query(`begin; delete from outbox_scheduled where payload #>> '{}' = '5'`)
  const owned = await ownKeyLane()
  while ((await moveDue(owned, 10)) > 0);
  expect([await movedOf('a'), (await movedOf('b')).length]).toEqual([[], 20])
  await other.query('rollback')
  while ((await moveDue(owned, 10)) > 0);
  expect(await movedOf('a')).toEqual(Array.from({ length: 20 }, (_, index) => 1 + 2 * index))
})

test('rows of a key stay in order while others of it are changed at the moment of a move', async () => {
  const owned = await ownKeyLane()
  const changing = await Promise.all([openClient(), openClient()])
  const over = new AbortController()
  /** One row at a time, each committed at once: those that are moved next, so that a move meets them. */
  const change = async (db: pg.Client): Promise<void> => {
    while (!over.signal.aborted) {
      await db.query(
        `update outbox_scheduled set headers = '{"changed": true}'
         where id = (select id from outbox_scheduled order by available_at, id offset floor(random() * 40) limit 1)`,
      )
    }
  }
  const changes = changing.map(change)
  const keys = Array.from({ length: 20 }, (_, index) => `key ${index}`)
  for (let round = 0; round < 25; round += 1) {
    await insertDue(400, keys, 1 + 400 * round)
    while ((await lane.rows('outbox_scheduled')) > 0) await moveDue(owned, 100)
  }
  over.abort()
  await Promise.all(changes)
  const { rows } = await lane.db.query<{ late: number }>(
    `select count(*)::int as late from (
       select payload::text::int < lag(payload::text::int) over (partition by ordering_key order by id) as is_late
       from outbox_message where lane = $1
     ) as row where is_late`,
    [lane.id],
  )
  expect(rows).toEqual([{ late: 0 }])
  expect(await lane.rows('outbox_message')).toBe(25 * 400)
})

test('nor does a row go before one of its key that was written before the place was, and commits behind it', async () => {
  const writer = await openClient()
  await insertDue(40, ['b'])
  await insertLate(writer, 'a')
  // Its id is not the highest, so it is not found above that. And no move has tried its key before it commits.
  await insertDue(20, ['a', 'b'], 41)
  const owned = await ownKeyLane()
  for (let move = 0; move < 2; move += 1) expect(await moveDue(owned, 10)).toBe(10)
  expect(owned.movePlace.from()).not.toBeNull()
  await writer.query('commit')
  while ((await moveDue(owned, 10)) > 0);
  expect(await movedOf('a')).toEqual(['late', ...Array.from({ length: 10 }, (_, index) => 41 + 2 * index)])
  expect(await movedOf('b')).toHaveLength(50)
})

test('a key that a writer has keeps no move from going on, and its rows wait until one begins anew', async () => {
  await insertDue(60, ['a', 'b', 'c'])
  const owned = await ownKeyLane()
  for (let move = 0; move < 2; move += 1) expect(await moveDue(owned, 12)).toBe(12)
  const writer = await openClient()
  await writer.query('begin')
  await writer.query('select pg_advisory_xact_lock($1, hashtext($2))', [orderingLockClass, 'a'])
  expect(await moveDue(owned, 12)).toBe(8)
  expect(owned.movePlace.from()).not.toBeNull()
  await writer.query('rollback')
  expect(await moveDue(owned, 12)).toBe(12)
  expect(await movedOf('a')).toHaveLength(8)
  while ((await moveDue(owned, 12)) > 0);
  expect(await movedOf('a')).toEqual(Array.from({ length: 20 }, (_, index) => 1 + 3 * index))
})

test('what keys writers have is not asked for where few rows are due', async () => {
  const owned = await ownKeyLane()
  const asked: string[] = []
  const session = {
    ...owned.session,
    query: (...query: Parameters<typeof owned.session.query>) => {
      asked.push(String(query[0].name))
      return owned.session.query(...query)
    },
  }
  await insertDue(1, ['a'])
  expect(await moveDue({ ...owned, session }, 10)).toBe(1)
  expect(await moveDue({ ...owned, session }, 10)).toBe(0)
  expect(asked).toEqual(['move_due', 'move_due'])
})
