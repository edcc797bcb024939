import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { enqueue } from '../../enqueue/enqueue.ts'
import { database, lane, useLane } from '../../../test/use-lane.ts'

/** Far beyond each test: what goes out was rung for. */
const pollMs = 600_000
const soon = { timeout: 10_000, interval: 10 }

useLane()

let writer: pg.Client
beforeEach(async () => {
  writer = new pg.Client(database.url)
  await writer.connect()
})
afterEach(() => writer.end())

const message = (payload: unknown) => ({ routingKey: lane.name, payload })

const isAsleep = async (): Promise<boolean> => {
  const { rows } = await lane.db.query<{ asleep: boolean }>('select asleep from outbox_bell where lane = $1', [lane.id])
  return rows[0]?.asleep ?? false
}

/** Long enough for a relay that would sleep, were it allowed to: the transaction is held open meanwhile. */
const holdOpen = () => lane.db.query('select pg_sleep(0.3)')

/** How often somebody rang, as a session of our own hears it. */
const hearRings = async () => {
  const rings: string[] = []
  lane.db.on('notification', ({ channel }) => rings.push(channel))
  await lane.db.query(`listen outbox_lane_${lane.id}`)
  return rings
}

test.each(['read committed', 'repeatable read', 'serializable'])(
  'a transaction that looked at the bell before it was set, and commits after it, is not slept over: %s',
  async (isolation) => {
    const relay = lane.relay({ pollMs })
    await writer.query(`begin isolation level ${isolation}`)
    // No relay sleeps yet, so this insert rings for nobody.
    await enqueue(writer, message('held open'), { lane: lane.id })
    await relay.start()
    await expect.poll(isAsleep, soon).toBe(true)
    await holdOpen()
    await writer.query('commit')
    await expect.poll(() => lane.rows(), soon).toBe(0)
  },
)

test.each(['repeatable read', 'serializable'])(
  'a transaction whose snapshot is older than the bell rings all the same: %s',
  async (isolation) => {
    const relay = lane.relay({ pollMs })
    await writer.query(`begin isolation level ${isolation}`)
    // The snapshot is taken here, and with it the bell as it was. There is no xid yet that a relay could wait for.
    await writer.query('select from outbox_bell')
    await relay.start()
    await expect.poll(isAsleep, soon).toBe(true)
    await holdOpen()
    await enqueue(writer, message('older snapshot'), { lane: lane.id })
    await writer.query('commit')
    await expect.poll(() => lane.rows(), soon).toBe(0)
  },
)

test('only a lane whose relay sleeps is rung for', async () => {
  const rings = await hearRings()
  await lane.commit(message('nobody is there'))
  await lane.db.query('insert into outbox_bell values ($1, false)', [lane.id])
  await lane.commit(message('awake'))
  await lane.db.query('update outbox_bell set asleep = true where lane = $1', [lane.id])
  await lane.commit(message('asleep'), message('asleep too'))
  await lane.db.query('select')
  expect(rings).toEqual([`outbox_lane_${lane.id}`])
})

test('a relay that was woken clears its bell, and sets it again when it has nothing to do', async () => {
  const relay = lane.relay({ pollMs })
  await relay.start()
  await expect.poll(isAsleep, soon).toBe(true)
  const rings = await hearRings()
  for (let round = 1; round <= 3; round += 1) {
    await expect.poll(isAsleep, soon).toBe(true)
    await lane.commit(message(round))
    await expect.poll(() => lane.rows(), soon).toBe(0)
  }
  expect(rings.length).toBeGreaterThanOrEqual(3)
})
