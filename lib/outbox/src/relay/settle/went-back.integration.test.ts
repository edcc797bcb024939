import { expect, test } from 'vitest'
import { ownLane } from '../../../test/own-lane.ts'
import { lane, useLane } from '../../../test/use-lane.ts'
import { createReader } from '../read/reader.ts'
import type { PublishOutcome } from '../publish/outcome.ts'
import { settle } from './settle.ts'

useLane()

const means = { parkAfter: 1, observe: () => {} }

const refused: PublishOutcome = { kind: 'refused', why: 'unwritable', of: 'row', reason: 'any' }

/** Reads one row; then the ids go back, and another message has its id. */
const readBeforeOther = async (end: () => Promise<unknown>) => {
  await lane.commit({ routingKey: lane.name, payload: 'first' })
  const owned = await ownLane('relay')
  const [row] = (await createReader(owned, 10)()).rows
  if (row === undefined) throw new Error('the row was not read')
  await lane.db.query('begin')
  await lane.db.query('truncate outbox_message restart identity')
  await lane.db.query(
    `insert into outbox_message (lane, id, message_id, routing_key, payload) overriding system value
     values ($1, $2, gen_random_uuid(), $3, '"other"')`,
    [lane.id, String(row.id), lane.name],
  )
  await end()
  return { owned, row }
}

const isLost = expect.objectContaining({ code: 'session_lost', message: expect.stringMatching('ids of .* went back') })

const payloads = async (table: 'outbox_message' | 'outbox_parked') => {
  const { rows } = await lane.db.query<{ payload: unknown }>(`select payload from ${table} where lane = $1`, [lane.id])
  return rows.map(({ payload }) => payload)
}

test.each<[string, PublishOutcome]>([
  ['is confirmed', { kind: 'confirmed' }],
  ['is refused too often', refused],
])('a row that %s when the ids have gone back takes no other one of its id with it', async (_, outcome) => {
  const { owned, row } = await readBeforeOther(() => lane.db.query('commit'))
  await expect(settle(owned, new Map([[row, outcome]]), means)).rejects.toThrow(isLost)
  expect(owned.session.lost.aborted).toBe(true)
  expect(await payloads('outbox_message')).toEqual(['other'])
  expect(await payloads('outbox_parked')).toEqual([])
})

test('a delete that is under way while the ids go back takes none with it either', async () => {
  const { owned, row } = await readBeforeOther(async () => {})
  const settled = Promise.allSettled([settle(owned, new Map([[row, { kind: 'confirmed' }]]), means)])
  // It waits for the table.
  await expect
    .poll(async () => (await lane.db.query('select from pg_locks where not granted')).rowCount, { timeout: 20_000 })
    .toBe(1)
  await lane.db.query('commit')
  expect(await settled).toMatchObject([{ reason: isLost }])
  expect(await payloads('outbox_message')).toEqual(['other'])
})
