import { runOn } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { database, lane, useLane } from '../../../test/use-lane.ts'

const soon = { timeout: 15_000, interval: 20 }

useLane()

const messages = (count: number) =>
  Array.from({ length: count }, (_, index) => [
    { routingKey: lane.name, payload: `own ${index}` },
    { routingKey: lane.name, payload: `keyed ${index}`, orderingKey: 'any' },
  ]).flat()

/** Rows of this test, in whichever lane. */
const rowsLeft = async () =>
  (await lane.db.query('select from outbox_message where routing_key = $1', [lane.name])).rowCount

/** Publishes some messages, does something to their ids, and then publishes others. */
const publishAround = async (setBack: string, before: number, after: number) => {
  const relay = lane.relay({ adopt: true, pollMs: 500 })
  await relay.start()
  await lane.commit(...messages(before))
  await expect.poll(() => lane.count(lane.name), soon).toBe(2 * before)
  await expect.poll(() => lane.isAsleep(), soon).toBe(true)
  await runOn(database.url, setBack)
  await lane.commit(...messages(after))
  await expect.poll(rowsLeft, soon).toBe(0)
  // A session that is given up may leave messages without their confirm, which go out once more.
  const taken = await lane.take(lane.name)
  expect(new Set(taken.map(({ messageId }) => messageId)).size).toBe(2 * (before + after))
  expect(relay.saw('relay.lost').at(0)).toMatchObject({
    reason: expect.stringMatching('ids of outbox_message went back'),
  })
  await relay.stop({ graceMs: 5_000 })
}

test.each([
  'truncate outbox_message restart identity',
  'alter sequence outbox_message_id_seq restart',
  'alter table outbox_message alter id restart with 2',
])('rows after "%s" are published, also if they are more than there were before', (setBack) =>
  publishAround(setBack, 3, 8),
)

test('rows whose ids were set back by setval are published', () =>
  publishAround(`select setval('outbox_message_id_seq', 1)`, 50, 1))
