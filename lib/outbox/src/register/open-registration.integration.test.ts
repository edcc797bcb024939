import { waitFor } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { database, lane, useLane } from '../../test/use-lane.ts'
import { type ControlSession, openControlSession } from '../relay/own/control-session.ts'
import { tendRegister } from '../relay/own/tend-register.ts'
import { registerLane } from './register-lane.ts'

useLane()

/** A client in a transaction that stays open until the test ends it. */
const begin = async (): Promise<pg.Client> => {
  const client = new pg.Client(database.url)
  await client.connect()
  onTestFinished(() => client.end())
  await client.query('begin')
  return client
}

const tend = async (session?: ControlSession) => {
  const own = session ?? (await openControlSession(database.url, 'tending'))
  onTestFinished(own.close)
  await tendRegister(own)
}

/** A lane that nobody has seen for a month. */
const addOldLane = async (name: string): Promise<number> => {
  const id = await registerLane(lane.db, name)
  await lane.db.query(`update outbox_lane set seen_at = now() - interval '30 days' where id = $1`, [id])
  return id
}

const isRegistered = async (id: number): Promise<boolean> =>
  (await lane.db.query('select from outbox_lane where id = $1', [id])).rowCount === 1

const isWaiting = async () =>
  (await lane.db.query(`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`))
    .rowCount === 1

test('a lane that is registered in an open transaction holds up nobody else who registers it, and no relay that starts', async () => {
  const open = await begin()
  const id = await registerLane(open, lane.name)
  expect(await registerLane(lane.db, lane.name)).toBe(id)
  const relay = lane.relay()
  await relay.start()
  await waitFor(() => relay.saw('relay.owned').length === 1)
})

test.each(['commit', 'rollback'])(
  'a relay tends the register beside a lane of old that is registered in an open transaction, and keeps it (%s)',
  async (end) => {
    const id = await addOldLane(`open until ${end}`)
    const used = await addOldLane(`used beside one open until ${end}`)
    await lane.db.query(
      `insert into outbox_message (lane, message_id, routing_key, payload) values ($1, gen_random_uuid(), $2, '1')`,
      [used, lane.name],
    )
    const gone = await addOldLane(`gone beside one open until ${end}`)
    const open = await begin()
    await registerLane(open, `open until ${end}`)
    await tend()
    expect([await isRegistered(used), await isRegistered(gone)]).toEqual([true, false])
    await open.query(end)
    expect(await isRegistered(id)).toBe(true)
    // Whoever saw it took that back, and nobody uses it.
    await tend()
    expect(await isRegistered(id)).toBe(end === 'commit')
  },
)

test('a lane with rows that was locked when it was to be seen is not removed once it is free', async () => {
  const id = await addOldLane('free too late')
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, payload) values ($1, gen_random_uuid(), $2, '1')`,
    [id, lane.name],
  )
  const open = await begin()
  await registerLane(open, 'free too late')
  const session = await openControlSession(database.url, 'tending')
  let statements = 0
  const query: ControlSession['query'] = async (statement, values) => {
    const answer = await session.query(statement, values)
    if (statements === 0) await open.query('rollback')
    statements += 1
    return answer
  }
  await tend({ ...session, query })
  expect(statements).toBeGreaterThan(1)
  // Put back for its row it would have another name.
  expect((await lane.db.query('select name from outbox_lane where id = $1', [id])).rows).toEqual([
    { name: 'free too late' },
  ])
})

test('a lane is kept for a second one who registers it, though the first one takes that back', async () => {
  const id = await addOldLane('for two')
  const [first, second] = [await begin(), await begin()]
  await registerLane(first, 'for two')
  expect(await registerLane(second, 'for two')).toBe(id)
  await first.query('rollback')
  await tend()
  expect(await isRegistered(id)).toBe(true)
})

test.each(['commit', 'rollback'])('whoever registers a lane that is being removed waits for that (%s)', async (end) => {
  const name = `removed until ${end}`
  const id = await addOldLane(name)
  const removing = await begin()
  await removing.query('delete from outbox_lane where id = $1', [id])
  const registering = await begin()
  const registered = registerLane(registering, name)
  await waitFor(isWaiting)
  await removing.query(end)
  const found = await registered
  await registering.query('commit')
  expect(found === id).toBe(end === 'rollback')
  await tend()
  expect(await isRegistered(found)).toBe(true)
})
