import { expect, test } from 'vitest'
import { enqueue } from '../../enqueue/enqueue.ts'
import { sleepers } from '../../../test/lane-under-test.ts'
import { lane, useLane } from '../../../test/use-lane.ts'

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
