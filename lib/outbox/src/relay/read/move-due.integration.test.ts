import { randomBytes } from 'node:crypto'
import { runOn } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test, vi } from 'vitest'
import { ownLane } from '../../../test/own-lane.ts'
import { database, lane, useLane } from '../../../test/use-lane.ts'
import { enqueue } from '../../enqueue/enqueue.ts'
import { orderingLockClass } from '../../register/ordering-lock.ts'
import { moveBytes, moveDue } from './move-due.ts'
import { createMovePlace } from './move-place.ts'

const soon = { timeout: 20_000, interval: 20 }

useLane()

const due = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ routingKey: lane.name, payload: index, availableAt: new Date(0) }))

/** Due rows of so many bytes each that cannot be compressed, larger ones than a library allows among them. */
const insertBytes = async (...sizes: number[]): Promise<void> => {
  for (const size of sizes) {
    await lane.db.query(
      `insert into outbox_scheduled (lane, message_id, routing_key, bytes, available_at)
       values ($1, gen_random_uuid(), $2, $3, 'epoch')`,
      [lane.id, lane.name, randomBytes(size)],
    )
  }
}

/** Has moves into the lane wait with their first row, when all else is done, until what is returned is called. */
const holdMoves = async (): Promise<() => Promise<unknown>> => {
  await lane.db.query(
    `create function hold() returns trigger language plpgsql as
     'begin perform pg_advisory_xact_lock_shared(1, 1); return new; end'`,
  )
  onTestFinished(async () => void (await runOn(database.url, 'drop function hold cascade')))
  await lane.db.query('create trigger hold before insert on outbox_message for each row execute function hold()')
  await lane.db.query('select pg_advisory_lock(1, 1)')
  return () => lane.db.query('select pg_advisory_unlock(1, 1)')
}

test('of two that move the same rows at the same moment each row is moved by one, and none waits for the other', async () => {
  await lane.commit(...due(60))
  const [one, other] = await Promise.all([ownLane('mover'), ownLane('mover')])
  const release = await holdMoves()
  const moving = moveDue(one, 60)
  const waiting = () =>
    lane.db.query(`select from pg_stat_activity where application_name = 'mover' and wait_event_type = 'Lock'`)
  await expect.poll(async () => (await waiting()).rowCount, soon).toBe(1)
  expect(await moveDue(other, 60)).toBe(0)
  await release()
  expect(await moving).toBe(60)
  expect(await lane.rows('outbox_scheduled')).toBe(0)
  const { rows } = await lane.db.query('select count(distinct message_id)::int as messages from outbox_message')
  expect(rows).toEqual([{ messages: 60 }])
})

test('a turn locks no more keys than it may move rows', async () => {
  const owned = await ownLane('mover')
  await lane.db.query(
    `insert into outbox_scheduled (lane, message_id, routing_key, ordering_key, payload, available_at)
     select $1, gen_random_uuid(), $2, number, '1', 'epoch' from generate_series(1, 100) as number`,
    [lane.id, lane.name],
  )
  const release = await holdMoves()
  const moving = moveDue(owned, 10)
  const locked = async () => {
    const { rows } = await lane.db.query<{ waits: boolean; keys: number }>(
      `select bool_or(wait_event_type = 'Lock') as waits,
         count(*) filter (where locktype = 'advisory' and classid::bigint = $1)::int as keys
       from pg_stat_activity join pg_locks using (pid) where application_name = 'mover'`,
      [orderingLockClass],
    )
    return rows[0]
  }
  await expect.poll(async () => (await locked())?.waits, soon).toBe(true)
  expect((await locked())?.keys).toBe(10)
  await release()
  expect(await moving).toBe(10)
})

test('a row that somebody has locked is waited for by nothing else', async () => {
  await lane.commit(...due(20))
  const other = new pg.Client(database.url)
  await other.connect()
  await other.query('begin')
  await other.query(
    'delete from outbox_scheduled where lane = $1 and id = (select min(id) from outbox_scheduled where lane = $1)',
    [lane.id],
  )
  const owned = await ownLane('mover')
  expect(await moveDue(owned, 50)).toBe(19)
  await other.query('rollback')
  await other.end()
  expect(await moveDue(owned, 50)).toBe(1)
})

test('rows that somebody has locked do not hide what is due behind them, however many they are', async () => {
  await lane.commit(...due(35))
  const other = new pg.Client(database.url)
  await other.connect()
  onTestFinished(() => other.end())
  await other.query(
    `begin; delete from outbox_scheduled where id in (
       select id from outbox_scheduled where lane = ${lane.id} order by id limit 30
     )`,
  )
  const owned = await ownLane('mover')
  expect(await moveDue(owned, 10)).toBe(5)
  expect(await moveDue(owned, 10)).toBe(0)
  await other.query('rollback')
  expect(await moveDue(owned, 40)).toBe(30)
})

test('to pass many rows that somebody has locked is not begun again at once', async () => {
  await lane.commit(...due(35))
  const other = new pg.Client(database.url)
  await other.connect()
  onTestFinished(() => other.end())
  await other.query(`begin; delete from outbox_scheduled where lane = ${lane.id}`)
  let nowMs = 0
  const owned = { ...(await ownLane('mover')), movePlace: createMovePlace(() => nowMs) }
  const ask = owned.session.query
  const query = vi.spyOn(owned.session, 'query').mockImplementation(async (statement, values) => {
    const result = await ask(statement, values)
    // As if there were ten thousand times as many.
    return { ...result, rows: result.rows.map((row) => Object.assign({}, row, { ms: 1_000 })) }
  })
  expect(await moveDue(owned, 10)).toBe(0)
  const statements = query.mock.calls.length
  expect(statements).toBeGreaterThan(2)
  expect(await moveDue(owned, 10)).toBe(0)
  expect(query).toHaveBeenCalledTimes(statements)
  await other.query('rollback')
  // The longest that it rests, however long it took.
  nowMs += 10_000
  expect(await moveDue(owned, 40)).toBe(35)
})

test('a lane that is to be left is asked for no more of them, however many somebody has locked', async () => {
  await lane.commit(...due(30))
  const other = new pg.Client(database.url)
  await other.connect()
  onTestFinished(() => other.end())
  await other.query(`begin; delete from outbox_scheduled where lane = ${lane.id}`)
  const owned = await ownLane('mover')
  const leaving = new AbortController()
  const query = vi.spyOn(owned.session, 'query').mockImplementationOnce(async (statement, values) => {
    leaving.abort()
    return owned.session.query(statement, values)
  })
  expect(await moveDue(owned, 10, leaving.signal)).toBe(0)
  // The spy's own call counts as well.
  expect(query).toHaveBeenCalledTimes(2)
})

test('rows of a key that are due go over as they became due, those of one moment in the order of their ids', async () => {
  const owned = await ownLane('mover')
  // Not as they lie in the table.
  await lane.db.query(
    `insert into outbox_scheduled (lane, id, message_id, routing_key, ordering_key, payload, available_at)
     overriding system value
     select $1, id, gen_random_uuid(), $2, 'a', to_json(name), 'epoch'::timestamptz + due * interval '1 minute'
     from (values (1, 'last', 3), (4, 'third', 2), (3, 'second', 2), (5, 'first', 1)) as row (id, name, due)`,
    [lane.id, lane.name],
  )
  expect(await moveDue(owned, 10)).toBe(4)
  const { rows } = await lane.db.query('select payload from outbox_message where lane = $1 order by id', [lane.id])
  expect(rows.map(({ payload }) => payload)).toEqual(['first', 'second', 'third', 'last'])
})

test('rows of a key that a writer has do not hide what is due behind them', async () => {
  const owned = await ownLane('mover')
  await lane.db.query(
    `insert into outbox_scheduled (lane, message_id, routing_key, ordering_key, payload, available_at)
     select $1, gen_random_uuid(), $2, case when number <= 30 then 'busy' end, '1', 'epoch'
     from generate_series(1, 35) as number`,
    [lane.id, lane.name],
  )
  await lane.db.query('begin')
  await enqueue(lane.db, { routingKey: lane.name, payload: 'not committed', orderingKey: 'busy' })
  expect(await moveDue(owned, 10)).toBe(5)
  expect(await moveDue(owned, 10)).toBe(0)
  await lane.db.query('rollback')
  expect(await moveDue(owned, 40)).toBe(30)
})

test('ten thousand rows that are due at once go over in batches, each by one statement', async () => {
  await lane.commit(...due(10_000))
  const relay = lane.relay({ window: 2_000 })
  await relay.start()
  await expect.poll(() => lane.rows('outbox_scheduled'), soon).toBe(0)
  await expect
    .poll(() => relay.saw('relay.moved'), soon)
    .toEqual(Array.from({ length: 20 }, () => ({ kind: 'relay.moved', count: 500 })))
})

test('a move ends at some MiB, however large the rows are that it might bring', async () => {
  const owned = await ownLane('mover')
  const mib = 1024 * 1024
  await insertBytes(...Array.from({ length: 10 }, () => mib), 2 * moveBytes)
  await lane.commit(...due(3))
  const moves: number[] = []
  while (moves.at(-1) !== 0) moves.push(await moveDue(owned, 500))
  expect(moves).toEqual([4, 4, 3, 3, 0])
})

test('a move that ended at some MiB is gone on behind, as a full one is', async () => {
  const owned = await ownLane('mover')
  await insertBytes(moveBytes, 1, 1)
  expect(await moveDue(owned, 500)).toBe(1)
  expect(owned.movePlace.from()).toMatchObject({ at: expect.stringMatching(/^1970-01-01/) })
})

test('to move a batch no more rows are read than are moved, however many are due', async () => {
  await lane.commit(...due(10_000))
  await lane.forgetReads()
  const owned = await ownLane('mover')
  for (let batch = 0; batch < 4; batch += 1) expect(await moveDue(owned, 500)).toBe(500)
  await owned.session.close()
  const read = () => lane.rowsRead('outbox_scheduled')
  // By their time, and by their ids; and those that were moved before, whose index entries are still there.
  await expect.poll(read, soon).toBeGreaterThanOrEqual(2 * 2_000)
  expect(await read()).toBeLessThan(10_000)
})

test('nor when a snapshot keeps those that were moved before', async () => {
  await lane.commit(...due(10_000))
  const owned = { ...(await ownLane('mover')), movePlace: createMovePlace(() => 0) }
  const pin = new pg.Client(database.url)
  await pin.connect()
  onTestFinished(() => pin.end())
  await pin.query('begin isolation level repeatable read; select from outbox_scheduled limit 1')
  await lane.forgetReads()
  for (let batch = 0; batch < 20; batch += 1) expect(await moveDue(owned, 500)).toBe(500)
  await owned.session.close()
  const read = () => lane.rowsRead('outbox_scheduled')
  await expect.poll(read, soon).toBeGreaterThanOrEqual(2 * 10_000)
  expect(await read()).toBeLessThan(3 * 10_000)
})

test('what commits late among many that are due is moved in time, and before it is said that none is left', async () => {
  await lane.commit(...due(60))
  let nowMs = 0
  const owned = { ...(await ownLane('mover')), movePlace: createMovePlace(() => nowMs) }
  const late = (payload: string) =>
    lane.db.query(
      `insert into outbox_scheduled (lane, message_id, routing_key, payload, available_at)
       select $1, gen_random_uuid(), $2, to_json($3::text), '1969-01-01'`,
      [lane.id, lane.name, payload],
    )
  const isMoved = async (payload: string) => {
    const { rowCount } = await lane.db.query(`select from outbox_message where lane = $1 and payload #>> '{}' = $2`, [
      lane.id,
      payload,
    ])
    return rowCount === 1
  }
  expect(await moveDue(owned, 10)).toBe(10)
  await late('first')
  expect(await moveDue(owned, 10)).toBe(10)
  expect(await isMoved('first')).toBe(false)
  nowMs = 3_600_000
  expect(await moveDue(owned, 10)).toBe(10)
  expect(await isMoved('first')).toBe(true)
  await late('second')
  const moves: number[] = []
  while (moves.at(-1) !== 0) moves.push(await moveDue(owned, 10))
  expect(moves).toEqual([10, 10, 10, 1, 1, 0])
  expect(await isMoved('second')).toBe(true)
})

test('how long a move stood in line for the session does not keep what commits late from its turn', async () => {
  await lane.commit(...due(20))
  let nowMs = 0
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs)
  onTestFinished(() => void vi.restoreAllMocks())
  const owned = await ownLane('mover')
  const moving = moveDue(owned, 10)
  // An hour goes by while other statements have the session.
  nowMs += 3_600_000
  expect(await moving).toBe(10)
  expect(owned.movePlace.from()).not.toBeNull()
  // Twenty times as long as a move takes that is very slow.
  nowMs += 20 * 60_000
  expect(owned.movePlace.from()).toBeNull()
})
