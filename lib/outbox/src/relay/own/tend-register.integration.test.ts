import pg from 'pg'
import { expect, onTestFinished, test, vi } from 'vitest'
import { registerLane } from '../../register/register-lane.ts'
import { database, lane, useLane } from '../../../test/use-lane.ts'
import { openControlSession } from './control-session.ts'
import { firstTendMs, tendRegister } from './tend-register.ts'

const soon = { timeout: 10_000, interval: 20 }

useLane()

const tend = async () => {
  const session = await openControlSession(database.url, 'tending')
  await tendRegister(session)
  await session.close()
}

/** As if nobody had seen the lane for so many days. */
const unseen = (name: string, days: number) =>
  lane.db.query(`update outbox_lane set seen_at = now() - $2 * interval '1 day' where name = $1`, [name, days])

const isRegistered = async (name: string): Promise<boolean> =>
  (await lane.db.query('select from outbox_lane where name = $1', [name])).rowCount === 1

const insert = (table: string, id: number, more = '') =>
  lane.db.query(
    `insert into ${table} (lane, message_id, routing_key, payload${more && ', available_at'})
     values ($1, gen_random_uuid(), $2, '{}'${more})`,
    [id, lane.name],
  )

test('the lane of a pod that nobody has seen for a week is removed, those of others are kept', async () => {
  await registerLane(lane.db, 'gone')
  await registerLane(lane.db, 'idle for six days')
  for (const [name, days] of Object.entries({ gone: 8, 'idle for six days': 6, 'key 1': 8, default: 8 })) {
    await unseen(name, days)
  }
  await tend()
  expect(await isRegistered('gone')).toBe(false)
  for (const name of ['idle for six days', 'key 1', 'default']) expect(await isRegistered(name), name).toBe(true)
})

test('a relay tends the register by itself some minutes after it has its session', async () => {
  await registerLane(lane.db, 'long gone')
  await unseen('long gone', 8)
  const relay = lane.relay({ adopt: true })
  await relay.start()
  await expect.poll(() => relay.saw('relay.owned').length, soon).toBeGreaterThan(0)
  expect(await isRegistered('long gone')).toBe(true)
  const now = performance.now.bind(performance)
  const later = vi.spyOn(performance, 'now').mockImplementation(() => now() + 2 * firstTendMs)
  onTestFinished(() => later.mockRestore())
  await expect.poll(() => isRegistered('long gone'), soon).toBe(false)
})

test('a lane with an owner, or with rows of any kind, is not removed', async () => {
  await lane.relay().start()
  await expect.poll(() => lane.relay().runOnce(), soon).toMatchObject({ kind: 'waiting' })
  await unseen(lane.name, 30)
  await insert('outbox_message', await registerLane(lane.db, 'with a row'))
  await insert('outbox_scheduled', await registerLane(lane.db, 'with one for later'), `, now() + interval '30 days'`)
  await lane.db.query(
    `insert into outbox_parked (lane, id, message_id, exchange, routing_key, headers, payload, created_at, reason, attempts)
     values ($1, 1, gen_random_uuid(), '', '', '{}', '{}', now(), 'refused', 1)`,
    [await registerLane(lane.db, 'with a parked one')],
  )
  const others = ['with a row', 'with one for later', 'with a parked one']
  for (const name of others) await unseen(name, 30)
  await tend()
  for (const name of [lane.name, ...others]) expect(await isRegistered(name), name).toBe(true)
})

test('a worker that registers a lane which nobody has seen for long keeps it', async () => {
  const id = await registerLane(lane.db, 'back from holidays')
  await unseen('back from holidays', 30)
  expect(await registerLane(lane.db, 'back from holidays')).toBe(id)
  await tend()
  expect(await isRegistered('back from holidays')).toBe(true)
})

test('rows that a worker wrote to a lane which was removed meanwhile are carried all the same', async () => {
  const removed = await registerLane(lane.db, 'removed')
  const removedToo = await registerLane(lane.db, 'removed too')
  await lane.db.query(`delete from outbox_lane where name in ('removed', 'removed too')`)
  await insert('outbox_message', removed)
  await insert('outbox_scheduled', removedToo, ', now()')
  await tend()
  await lane.relay({ adopt: true }).start()
  await expect.poll(() => lane.count(lane.name), soon).toBeGreaterThanOrEqual(2)
  for (const name of [`lane ${removed}`, `lane ${removedToo}`]) expect(await isRegistered(name), name).toBe(true)
})

test('a number that was put back into the register is not drawn for a new lane', async () => {
  const { rows } = await lane.db.query(`select nextval(pg_get_serial_sequence('outbox_lane', 'id'))::int as drawn`)
  const unregistered = [rows[0].drawn + 1, rows[0].drawn + 2]
  for (const id of unregistered) await insert('outbox_message', id)
  await tend()
  expect(await registerLane(lane.db, 'a new one')).toBe(rows[0].drawn + 3)
  expect(await registerLane(lane.db, `lane ${unregistered[0]}`)).toBe(unregistered[0])
})

test('rows of a lane that was removed are carried though another lane has the name that theirs would get', async () => {
  const removed = await registerLane(lane.db, 'removed, and its name taken')
  await lane.db.query('delete from outbox_lane where id = $1', [removed])
  expect(await registerLane(lane.db, `lane ${removed}`)).not.toBe(removed)
  await insert('outbox_message', removed)
  await tend()
  const { rows } = await lane.db.query('select name from outbox_lane where id = $1', [removed])
  expect(rows).toEqual([{ name: expect.stringMatching(`^lane ${removed} [-0-9a-f]{36}$`) }])
})

test('what a snapshot keeps of a lane in the register is not passed to tend that', async () => {
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, payload)
     select $1, gen_random_uuid(), 'any', '1' from generate_series(1, 20000)`,
    [lane.id],
  )
  const pin = new pg.Client(database.url)
  await pin.connect()
  await pin.query('begin isolation level repeatable read')
  await pin.query('select from outbox_message limit 1')
  await lane.db.query('delete from outbox_message')
  await unseen(lane.name, 5)
  // The delete says what it read when its session rests.
  await lane.db.query('select pg_stat_force_next_flush()')
  await expect.poll(() => lane.rowsRead('outbox_message'), soon).toBeGreaterThanOrEqual(20_000)
  await lane.forgetReads()
  await tend()
  const read = await lane.rowsRead('outbox_message')
  await pin.end()
  expect(read).toBeLessThan(100)
})
