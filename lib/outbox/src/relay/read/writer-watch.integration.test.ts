import { cloneDatabase } from '@esteira/test/support'
import pg from 'pg'
import { beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { enqueue } from '../../enqueue/enqueue.ts'
import { ownLane } from '../../../test/own-lane.ts'
import { passesOf } from '../../../test/passes-of.ts'
import { database, lane, useLane } from '../../../test/use-lane.ts'
import { readFromFloor } from './read-lane.ts'
import { createWriterWatch } from './writer-watch.ts'

const soon = { timeout: 10_000, interval: 50 }

useLane()

beforeAll(async () => {
  await inDatabase(database.url, (client) => client.query('create table other (name text)'))
})

let writer: pg.Client
beforeEach(async () => {
  writer = await connect(database.url)
})

const connect = async (url: string): Promise<pg.Client> => {
  const client = new pg.Client(url)
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

const inDatabase = async (url: string, work: (client: pg.Client) => Promise<unknown>) => {
  const client = new pg.Client(url)
  await client.connect()
  await work(client)
  await client.end()
}

const message = (payload: unknown) => ({ routingKey: lane.name, payload })

/** Writes something that has nothing to do with the outbox, and leaves the transaction open. */
const writeOther = async (client: pg.Client): Promise<void> => {
  await client.query('begin')
  await client.query(`insert into other values ('written')`)
}

/** Draws a mark, and says whether all who may bring a row older than it have ended. */
const areDone = async (): Promise<boolean> => {
  const { session } = await ownLane('watcher')
  const { rows } = await session.query({ text: 'select pg_current_xact_id()::text as mark' }, [])
  const [drawn] = rows.map((row) => (typeof row === 'object' && row !== null ? Reflect.get(row, 'mark') : null))
  return (await createWriterWatch(session).horizon()) > BigInt(String(drawn))
}

test('a transaction that has written something else may bring no row', async () => {
  await writeOther(writer)
  expect(await areDone()).toBe(true)
})

test('nor does one in the outbox of another database', async () => {
  const another = await cloneDatabase()
  onTestFinished(another.drop)
  const stranger = await connect(another.url)
  await stranger.query('begin')
  await enqueue(stranger, message('theirs'))
  expect(await areDone()).toBe(true)
})

test.each(['now', 'later'])('one that has written a message may: %s', async (when) => {
  await writer.query('begin')
  await enqueue(writer, { ...message('ours'), ...(when === 'later' ? { delayMs: 60_000 } : {}) })
  expect(await areDone()).toBe(false)
  await writer.query('commit')
  expect(await areDone()).toBe(true)
})

test('also one that did so between two savepoints, until it takes that back', async () => {
  await writeOther(writer)
  await writer.query('savepoint before')
  await writer.query('savepoint within')
  await enqueue(writer, message('ours'))
  await writer.query('release within')
  expect(await areDone()).toBe(false)
  await writer.query('rollback to before')
  expect(await areDone()).toBe(true)
})

test.each(['pod', 'key'])(
  'the floor of a lane rises beside a transaction that has written something else: %s',
  async (kind) => {
    const owned = await ownLane('reader', kind === 'key' ? 'key 1' : lane.name)
    const pass = await passesOf(owned)
    await writeOther(writer)
    const last = async () => {
      const { rows } = await lane.db.query<{ id: string }>(
        `insert into outbox_message (lane, message_id, routing_key, ordering_key, payload)
       values ($1, gen_random_uuid(), $2, $3, '1') returning id`,
        [owned.lane, lane.name, kind === 'key' ? 'a' : null],
      )
      return BigInt(rows[0]?.id ?? 0)
    }
    const first = await last()
    const rises = async () => {
      await last()
      await pass()
      return owned.pointers.floor() >= first
    }
    await expect.poll(rises, soon).toBe(true)
  },
)

test('what such a transaction writes to the outbox after that is above the floor', async () => {
  const owned = await ownLane('reader')
  const pass = await passesOf(owned)
  await writeOther(writer)
  const rises = async () => {
    await lane.commit(message('before'))
    await pass()
    return owned.pointers.floor() > 0n
  }
  await expect.poll(rises, soon).toBe(true)
  await enqueue(writer, message('late'), { lane: lane.id })
  await lane.commit(message('after'))
  await pass()
  await writer.query('commit')
  const { rows } = await readFromFloor(owned, 10)
  expect(rows.map(({ payload }) => payload)).toEqual(['"late"'])
})

test('the floor does not rise beside a transaction that has written a message, however long that stays open', async () => {
  const owned = await ownLane('reader')
  const pass = await passesOf(owned)
  await writer.query('begin')
  await enqueue(writer, message('late'), { lane: lane.id })
  const isHeldUp = async () => {
    await lane.commit(message('before'))
    await pass()
    return owned.pointers.isHeldUp()
  }
  await expect.poll(isHeldUp, soon).toBe(true)
  // The watch is asked by this pass.
  await pass()
  const { rows } = await writer.query<{ id: string }>('select id from outbox_message')
  expect(owned.pointers.floor()).toBeLessThan(BigInt(rows[0]?.id ?? 0))
  await writer.query('commit')
  expect(await pass()).toMatchObject({ confirmed: 1 })
})
