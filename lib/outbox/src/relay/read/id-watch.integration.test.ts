import { runOn } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
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

const asMigrated = 'alter sequence outbox_message_id_seq increment 1 cache 1 no cycle'

/** Until the test is over, whatever comes of it. */
const alterSequence = async (how: string): Promise<void> => {
  onTestFinished(async () => void (await runOn(database.url, asMigrated)))
  await runOn(database.url, `alter sequence outbox_message_id_seq ${how}`)
}

test.each([
  ['cache 50', 'has a cache of 50'],
  ['increment -1 no minvalue', 'has an increment of -1'],
  ['cycle', 'begins anew at its end'],
])('a relay whose ids come from a sequence with "%s" does not start, and says how to mend it', async (how, fault) => {
  await alterSequence(how)
  const refusal = {
    code: 'sequence_unordered',
    message: `the sequence outbox_message_id_seq ${fault}, so ids would not go up and keys would lose their order: expected "${asMigrated}"`,
  }
  await expect(lane.relay().start()).rejects.toMatchObject(refusal)
  await expect(lane.relay().runOnce()).rejects.toMatchObject(refusal)
})

test('a relay whose sequence gets a cache while it runs carries nothing until that is mended', async () => {
  const relay = lane.relay({ pollMs: 500 })
  await relay.start()
  await alterSequence('cache 50')
  const refused = () => relay.saw('relay.failed')
  await expect.poll(() => refused().length, soon).toBeGreaterThan(1)
  expect(refused()[0]).toMatchObject({ error: { code: 'sequence_unordered' }, attempt: 1 })
  await lane.commit({ routingKey: lane.name, payload: 1 })
  const before = refused().length
  await expect.poll(() => refused().length, soon).toBeGreaterThan(before + 1)
  expect(await lane.count(lane.name)).toBe(0)
  await runOn(database.url, asMigrated)
  await expect.poll(() => lane.count(lane.name), soon).toBe(1)
  await relay.stop({ graceMs: 5_000 })
})
