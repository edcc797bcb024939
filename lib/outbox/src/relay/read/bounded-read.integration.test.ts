import { expect, onTestFinished, test } from 'vitest'
import { ownLane } from '../../../test/own-lane.ts'
import { lane, useLane, vhost } from '../../../test/use-lane.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import { createPayloadMemory } from '../lane/payload-memory.ts'
import { takePass } from '../lane/take-pass.ts'
import { checkOptions } from '../options.ts'
import type { ControlSession } from '../own/control-session.ts'
import { createBrokerLink } from '../publish/broker-link.ts'
import type { ConfirmChannel } from '../publish/confirm-channel.ts'
import { createLaneChannel, type LaneChannel } from '../publish/lane-channel.ts'
import { batchBytes } from './bounded-read.ts'
import type { LaneRow } from './lane-row.ts'
import { createReader } from './reader.ts'

const largest = 1_000_000
const batches = 4
const window = 2_000
const limit = window / batches
/** Longer than the next batch takes to be read. */
const confirmMs = 200

useLane()

/** Puts rows into a lane, each with a key of its own; `value` is SQL for a payload, of the row's `number`. */
const fill = (owned: OwnedLane, count: number, column: 'payload' | 'bytes', value: string) =>
  lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, ordering_key, ${column})
     select $1, gen_random_uuid(), $2, gen_random_uuid(), ${value}
     from generate_series(1, $3::int) as number`,
    [owned.lane, lane.name, count],
  )

// Some that Postgres compresses to a hundredth, some that it cannot, and small ones between them.
const ofAllKinds = `case number % 4
  when 0 then to_json(number)
  when 1 then to_json((select string_agg(md5(number::text || part), '') from generate_series(1, 31250) as part))
  else to_json(repeat('x', ${largest})) end`

const bytesOf = ({ payload }: Pick<LaneRow, 'payload'>): number => Buffer.byteLength(payload)

/** The most bytes of payloads and headers that one statement of the session brought. */
const watchStatements = ({ session }: OwnedLane): { session: ControlSession; most: () => number } => {
  let most = 0
  const size = (value: unknown): number => {
    if (typeof value === 'string' || value instanceof Buffer) return Buffer.byteLength(value)
    return value === null ? 0 : JSON.stringify(value).length
  }
  const sizeOf = (row: unknown) =>
    typeof row === 'object' && row !== null && 'payload' in row && 'bytes' in row && 'headers' in row
      ? size(row.payload) + size(row.bytes) + size(row.headers)
      : 0
  return {
    session: {
      ...session,
      query: async (statement, values) => {
        const result = await session.query(statement, values)
        most = Math.max(
          most,
          result.rows.reduce<number>((sum, row) => sum + sizeOf(row), 0),
        )
        return result
      },
    },
    most: () => most,
  }
}

const countStatements = (owned: OwnedLane): { owned: OwnedLane; count: () => number } => {
  let statements = 0
  const session: ControlSession = {
    ...owned.session,
    query: (...asked) => {
      statements += 1
      return owned.session.query(...asked)
    },
  }
  return { owned: { ...owned, session }, count: () => statements }
}

/** Reads the lane to its end as one pass does, nothing being deleted; the ids, in the order of the reads. */
const readAll = async (owned: OwnedLane): Promise<bigint[]> => {
  const read = createReader(owned, limit)
  const ids: bigint[] = []
  for (;;) {
    const batch = await read()
    ids.push(...batch.rows.map(({ id }) => id))
    if (!batch.full) return ids
  }
}

const idsOf = async ({ lane: number }: OwnedLane): Promise<bigint[]> => {
  const { rows } = await lane.db.query<{ id: string }>('select id from outbox_message where lane = $1 order by id', [
    number,
  ])
  return rows.map(({ id }) => BigInt(id))
}

test.each([
  { kind: 'a lane', name: undefined },
  { kind: 'a key lane', name: 'key 1' },
])('a read of $kind brings no more than a batch of bytes, and none of its rows is left out', async ({ name }) => {
  const owned = await ownLane('reader', name)
  const watch = watchStatements(owned)
  await fill(owned, 20, 'payload', ofAllKinds)
  await fill(owned, 4, 'bytes', `decode(repeat('00', 3 * ${largest}), 'hex')`)
  await fill(owned, 2 * limit, 'payload', 'to_json(number)')
  await lane.db.query('analyze outbox_message')
  const ids = await readAll({ ...owned, session: watch.session })
  expect(ids.toSorted((a, b) => Number(a - b))).toEqual(await idsOf(owned))
  expect(watch.most()).toBeLessThan(batchBytes + 3 * largest)
  await lane.db.query('delete from outbox_message where lane = $1', [owned.lane])
})

test('rows that are read again beside a closed destination are no more than a batch of bytes either', async () => {
  const owned = await ownLane('reader')
  const watch = watchStatements(owned)
  await fill(owned, 20, 'payload', ofAllKinds)
  const ids = await idsOf(owned)
  const reader = { ...owned, session: watch.session }
  for (const id of ids.slice(0, 12)) reader.suspects.set(id, 'from its lane')
  reader.held.hold({ id: 0n, key: '' }, 'unroutable', { exchange: 'closed', routingKey: 'any' })
  expect(await readAll(reader)).toEqual(ids)
  expect(watch.most()).toBeLessThan(batchBytes + largest)
})

test('headers count as payloads do, in what a statement brings and in what a relay has in memory', async () => {
  const owned = await ownLane('reader')
  const watch = watchStatements(owned)
  const headerBytes = 30_000
  await lane.db.query(
    `insert into outbox_message (lane, message_id, routing_key, headers, payload, bytes)
     select $1, gen_random_uuid(), $2, json_build_object('a', case number % 2
         when 0 then repeat('x', ${headerBytes})
         else (select left(string_agg(md5(number::text || part), ''), ${headerBytes}) from generate_series(1, 1000) as part)
       end),
       case when number % 3 > 0 then to_json(number) end, case when number % 3 = 0 then decode('00', 'hex') end
     from generate_series(1, $3::int) as number`,
    [owned.lane, lane.name, limit],
  )
  const read = createReader({ ...owned, session: watch.session }, limit)
  const rows: LaneRow[] = []
  for (;;) {
    const batch = await read()
    rows.push(...batch.rows)
    if (!batch.full) break
  }
  expect(rows.map(({ id }) => id)).toEqual(await idsOf(owned))
  expect(rows.filter(({ headers: { a } }) => String(a).length !== headerBytes)).toEqual([])
  expect(watch.most()).toBeLessThan(batchBytes + 2 * headerBytes)
  const memory = createPayloadMemory()
  memory.hold(rows)
  expect(memory.isTight()).toBe(false)
  memory.hold(rows)
  expect(memory.isTight()).toBe(true)
})

test('a row that is larger than a batch goes by itself', async () => {
  const owned = await ownLane('reader')
  await fill(owned, 2, 'payload', `to_json(repeat('x', ${batchBytes + 1}))`)
  const read = createReader(owned, limit)
  expect(await read()).toMatchObject({ rows: [{}], full: true })
  expect(await read()).toMatchObject({ rows: [{}], full: true })
  expect(await read()).toEqual({ rows: [], full: false })
})

test('large rows among many small ones cost one statement more, and the others are read once', async () => {
  const owned = await ownLane('reader')
  await fill(
    owned,
    2 * limit,
    'payload',
    `case when number in (100, 250, 400) then to_json(repeat('x', 3000)) else to_json(number) end`,
  )
  const counted = countStatements(owned)
  expect(await readAll(counted.owned)).toEqual(await idsOf(owned))
  // Two batches, the payloads that the first withheld, and an end.
  expect(counted.count()).toBe(4)
})

test('a lane with many large rows among its small ones goes on being weighed', async () => {
  const owned = await ownLane('reader')
  await fill(
    owned,
    4 * limit,
    'payload',
    `case when number % 10 = 0 then to_json(repeat('x', 3000)) else to_json(number) end`,
  )
  const counted = countStatements(owned)
  expect(await readAll(counted.owned)).toEqual(await idsOf(owned))
  // One that is not weighed, then 8 rows and twice as many each time, to whole batches.
  expect(counted.count()).toBeLessThanOrEqual(13)
})

test('small rows after large ones are read without weighing them', async () => {
  const owned = await ownLane('reader')
  await fill(owned, 20, 'payload', `to_json(repeat('x', ${largest}))`)
  await readAll(owned)
  expect(owned.weighedRows).not.toBe(null)
  await fill(owned, limit, 'payload', 'to_json(number)')
  await readAll(owned)
  expect(owned.weighedRows).toBe(null)
})

/** The channel with a broker that takes its time, and the most bytes of payloads that waited for their confirms. */
const watchChannel = (channel: LaneChannel): { channel: LaneChannel; most: () => number } => {
  let inFlight = 0
  let most = 0
  const watched = (inner: ConfirmChannel): ConfirmChannel => ({
    ...inner,
    publish: (row, onEnd) => {
      inFlight += bytesOf(row)
      most = Math.max(most, inFlight)
      inner.publish(row, (outcome) => {
        setTimeout(() => {
          inFlight -= bytesOf(row)
          onEnd(outcome)
        }, confirmMs)
      })
    },
  })
  return { channel: { ...channel, open: async () => watched(await channel.open()) }, most: () => most }
}

test.each([
  { kind: 'a few batches at a time', others: 0, least: 2, most: batches },
  { kind: 'one batch at a time while other lanes have much in memory', others: 17 * 1024 ** 2, least: 0, most: 1 },
])('a backlog of large messages is in flight $kind', async ({ others, least, most }) => {
  const owned = await ownLane('relay')
  await fill(owned, 60, 'payload', `to_json(repeat('x', ${largest}))`)
  const link = createBrokerLink({ rabbitmqUrl: vhost.url, name: lane.name, observe: () => {} })
  onTestFinished(link.close)
  await link.connect()
  const watch = watchChannel(createLaneChannel(owned, { database: 'test', link, observe: () => {} }))
  const settings = checkOptions({
    databaseUrl: 'postgres://localhost',
    rabbitmqUrl: vhost.url,
    lane: lane.name,
    window,
  })
  const leaving = new AbortController().signal
  const memory = createPayloadMemory()
  const letGo = memory.hold([rowOf(others)])
  const pass = await takePass(owned, { ...settings, link, channel: watch.channel, memory, leaving })
  expect(pass).toMatchObject({ read: 60, confirmed: 60 })
  expect(await lane.rows()).toBe(0)
  expect(watch.most()).toBeLessThan(most * (batchBytes + largest))
  expect(watch.most()).toBeGreaterThan(least * batchBytes)
  letGo()
  expect(memory.isTight()).toBe(false)
})

const rowOf = (bytes: number): LaneRow => ({
  id: 0n,
  messageId: '',
  exchange: '',
  routingKey: '',
  orderingKey: null,
  headers: {},
  payload: Buffer.alloc(bytes),
  size: bytes,
  createdAt: 0,
})
