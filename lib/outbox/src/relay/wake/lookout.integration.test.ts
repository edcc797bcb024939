import { expect, test } from 'vitest'
import { enqueue } from '../../enqueue/enqueue.ts'
import { sleepers } from '../../../test/lane-under-test.ts'
import { ownLane } from '../../../test/own-lane.ts'
import { raiseFloor } from '../../../test/raise-floor.ts'
import { database, lane, useLane, vhost } from '../../../test/use-lane.ts'
import { checkOptions } from '../options.ts'
import { createBelowWatch } from '../read/below-watch.ts'
import { createLookout } from './lookout.ts'

const soon = { timeout: 10_000, interval: 10 }

useLane()

const message = (payload: unknown) => ({ routingKey: lane.name, payload })

const sleeping = async (): Promise<number> => (await sleepers(lane.db)).length

/** As if every ring of the transaction were lost. */
const commitSilently = async (write: () => Promise<unknown>) => {
  await lane.db.query('begin')
  // Triggers do not fire for a session that says it replicates.
  await lane.db.query('set local session_replication_role = replica')
  await write()
  await lane.db.query('commit')
}

test('rows that nobody rang for are found in every lane that sleeps, and when they are due', async () => {
  const relay = lane.relay({ pollMs: 200, adopt: true })
  await relay.start()
  await expect.poll(sleeping, soon).toBe(10)
  await commitSilently(async () => {
    await enqueue(lane.db, message('own'), { lane: lane.id })
    await enqueue(lane.db, { ...message('later'), delayMs: 300 }, { lane: lane.id })
    await enqueue(
      lane.db,
      ['a', 'b', 'c', 'd'].map((key) => ({ routingKey: lane.name, payload: key, orderingKey: key })),
    )
  })
  await expect.poll(() => lane.count(lane.name), soon).toBe(6)
  const payloads = (await lane.take(lane.name)).map(({ payload }) => payload)
  expect(new Set(payloads)).toEqual(new Set(['a', 'b', 'c', 'd', 'later', 'own']))
})

test('a row below the floor of a lane that sleeps is found as well', async () => {
  let nowMs = 0
  const owned = { ...(await ownLane('looker')), below: createBelowWatch(() => (nowMs += 3_600_000)) }
  await lane.db.query(`select setval(pg_get_serial_sequence('outbox_message', 'id'), 1000)`)
  await lane.db.query(
    `insert into outbox_message (lane, id, message_id, routing_key, payload) overriding system value
     values ($1, 5, gen_random_uuid(), $2, '1')`,
    [lane.id, lane.name],
  )
  raiseFloor(owned.pointers, 10n)
  const settings = checkOptions({ databaseUrl: database.url, rabbitmqUrl: vhost.url, lane: lane.name, pollMs: 100 })
  const lookout = createLookout(settings, owned.session)
  lookout.add(owned)
  const over = new AbortController()
  const keeping = lookout.keep(over.signal)
  expect(await owned.bell.wait(soon.timeout, over.signal)).toBe(true)
  over.abort()
  await keeping
})
