import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { enqueue } from '../../enqueue/enqueue.ts'
import { ownLane } from '../../../test/own-lane.ts'
import { database, lane, useLane } from '../../../test/use-lane.ts'
import { deleteConfirmed } from '../settle/delete-confirmed.ts'
import { readFromFloor } from './read-lane.ts'

const soon = { timeout: 20_000, interval: 20 }

useLane()

let writers: pg.Client[]
beforeEach(async () => {
  writers = Array.from({ length: 8 }, () => new pg.Client(database.url))
  await Promise.all(writers.map((writer) => writer.connect()))
})
afterEach(() => Promise.all(writers.map((writer) => writer.end())))

const message = (payload: unknown) => ({ routingKey: lane.name, payload })

const write = (writer: pg.Client, payload: unknown) => enqueue(writer, message(payload), { lane: lane.id })

/** Some statement-free time in which other transactions overtake this one. */
const dawdle = (writer: pg.Client, seconds: number) => writer.query('select pg_sleep($1)', [seconds])

test('a row that commits after one with a higher id was published is found, however long it took', async () => {
  const relay = lane.relay({ pollMs: 600_000 })
  await relay.start()
  const [slow] = writers
  if (slow === undefined) throw new Error('no writer')
  await slow.query('begin')
  await write(slow, 'slow')
  for (let round = 0; round < 20; round += 1) {
    await lane.commit(message(round))
    await expect.poll(() => lane.rows(), soon).toBe(0)
  }
  await slow.query('commit')
  await expect.poll(() => lane.rows(), soon).toBe(0)
  expect((await lane.take(lane.name)).at(-1)?.payload).toBe('slow')
})

test('a row that commits late is found while the lane is full, not only when it is empty', async () => {
  // So small a window carries fewer rows than are written meanwhile.
  const relay = lane.relay({ window: 8 })
  const [slow] = writers
  if (slow === undefined) throw new Error('no writer')
  await slow.query('begin')
  await write(slow, 'slow')
  const { rows } = await slow.query<{ id: string }>('select id from outbox_message where lane = $1', [lane.id])
  const fill = () => lane.commit(...Array.from({ length: 500 }, (_, index) => message(index)))
  await fill()
  await relay.start()
  await expect.poll(() => relay.saw('relay.batch').length, soon).toBeGreaterThan(1)
  await slow.query('commit')
  const isThere = async () => {
    await fill()
    return (await lane.db.query('select from outbox_message where id = $1', [rows[0]?.id])).rowCount === 1
  }
  await expect.poll(isThere, soon).toBe(false)
  expect(await lane.rows()).toBeGreaterThan(0)
})

test('a transaction whose xid is above the snapshot of a read keeps the floor below its id', async () => {
  // xmax of a snapshot is the latest ended xid plus one, so it is no mark: at the first delete it is the xid of `older`,
  // and `late`, which has drawn an id below the highest one that was read, is above it. The steps of a pass are taken one
  // by one, since a whole pass draws more xids.
  const owned = await ownLane('reader')
  const carry = async () => {
    const { rows: read } = await readFromFloor(owned, 10)
    owned.confirmed.push(...read.map(({ id }) => id))
    await deleteConfirmed(owned)
    return read.length
  }
  const [first, older, late] = writers
  if (first === undefined || older === undefined || late === undefined) throw new Error('no writers')
  for (const writer of [first, older, late]) {
    await writer.query('begin')
    await write(writer, 'below')
  }
  await write(first, 'the highest id')
  await first.query('commit')
  expect(await carry()).toBe(2)
  await older.query('rollback')
  for (let turn = 0; turn < 5; turn += 1) {
    await lane.commit(message(turn))
    expect(await carry()).toBe(1)
  }
  await late.query('commit')
  expect(await carry()).toBe(1)
})

test('a transaction that has drawn its id, and written no row yet, keeps the floor below it', async () => {
  const relay = lane.relay()
  const [slow] = writers
  if (slow === undefined) throw new Error('no writer')
  // A trigger for each row comes between the two: it waits for a lock that the test has.
  await lane.db.query(
    `create function wait_with_id() returns trigger language plpgsql as
     $$ begin perform pg_advisory_xact_lock(1); return new; end $$`,
  )
  await lane.db.query(
    `create trigger wait_with_id before insert on outbox_message
     for each row when (new.payload::text = '"slow"') execute function wait_with_id()`,
  )
  await lane.db.query('select pg_advisory_lock(1)')
  await lane.commit(message('before'))
  await slow.query('begin')
  const written = write(slow, 'slow')
  const waits = () => lane.db.query(`select from pg_locks where locktype = 'advisory' and objid = 1 and not granted`)
  await expect.poll(async () => (await waits()).rowCount, soon).toBe(1)
  for (let turn = 0; turn < 5; turn += 1) {
    await lane.commit(message(turn))
    await relay.runOnce()
  }
  await lane.db.query('select pg_advisory_unlock(1)')
  await written
  await slow.query('commit')
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1 })
  expect(await lane.rows()).toBe(0)
  await lane.db.query('drop function wait_with_id cascade')
})

test('whatever the order of ids, commits and rollbacks, every committed row goes out once', async () => {
  const relay = lane.relay({ window: 40, pollMs: 600_000 })
  await relay.start()
  const committed: string[] = []
  await Promise.all(
    writers.map(async (writer, number) => {
      for (let turn = 0; turn < 60; turn += 1) {
        await writer.query(`begin isolation level ${Math.random() < 0.2 ? 'repeatable read' : 'read committed'}`)
        const rows = Array.from({ length: 1 + Math.floor(Math.random() * 5) }, (_, row) => `${number}.${turn}.${row}`)
        for (const row of rows) {
          await write(writer, row)
          if (Math.random() < 0.1) await dawdle(writer, Math.random() / 20)
        }
        const commits = Math.random() < 0.8
        await writer.query(commits ? 'commit' : 'rollback')
        if (commits) committed.push(...rows)
      }
    }),
  )
  await expect.poll(() => lane.rows(), soon).toBe(0)
  const published = (await lane.take(lane.name)).map(({ payload }) => payload)
  expect(published).toHaveLength(committed.length)
  expect(new Set(published)).toEqual(new Set(committed))
}, 60_000)

/** Until all transactions that are under way in the server have ended: above what they may still write no floor rises. */
const untilOthersEnded = async () => {
  const { rows } = await lane.db.query<{ xid: string }>('select pg_current_xact_id()::text as xid')
  const haveEnded = async () => {
    const asked = await lane.db.query<{ ended: boolean }>(
      'select pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8 as ended',
      [rows[0]?.xid],
    )
    return asked.rows[0]?.ended
  }
  await expect.poll(haveEnded, soon).toBe(true)
}

test('the floor follows what was published, so that deleted rows are not read again and again', async () => {
  const pin = new pg.Client(database.url)
  await pin.connect()
  await pin.query('begin isolation level repeatable read')
  await pin.query('select from outbox_message limit 1')
  const relay = lane.relay()
  const passed = () => lane.rowsRead('outbox_message')
  await lane.forgetReads()
  const rounds = 30
  const perRound = 200
  for (let round = 0; round < rounds; round += 1) {
    await lane.commit(...Array.from({ length: perRound }, (_, index) => message(index)))
    await untilOthersEnded()
    await relay.runOnce()
  }
  await relay.stop({ graceMs: 1_000 })
  await pin.query('rollback')
  await pin.end()
  const read = async () => {
    await lane.db.query('select pg_stat_force_next_flush()')
    return passed()
  }
  // Reading from the lane's beginning each time would pass the rows of all rounds before: 30 * 29 / 2 * 200 of them.
  await expect.poll(read, soon).toBeGreaterThan(rounds * perRound)
  expect(await read()).toBeLessThan(12 * rounds * perRound)
})
