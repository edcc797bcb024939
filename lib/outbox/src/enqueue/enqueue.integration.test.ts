import { cloneDatabase } from '@esteira/test/support'
import { defineEntity, MikroORM, p } from '@mikro-orm/postgresql'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { enqueue, queryable, registerLane } from '../index.ts'
import { orderingLockClass } from '../register/ordering-lock.ts'

const Note = defineEntity({ name: 'Note', properties: { id: p.integer().primary().autoincrement(), text: p.text() } })

let database: Awaited<ReturnType<typeof cloneDatabase>>
let client: pg.Client
let pool: pg.Pool
let orm: MikroORM
let lane: number

beforeAll(async () => {
  database = await cloneDatabase()
  client = new pg.Client(database.url)
  await client.connect()
  pool = new pg.Pool({ connectionString: database.url, max: 2 })
  orm = new MikroORM({ clientUrl: database.url, entities: [Note] })
  await client.query('create table note (id int generated always as identity primary key, text text not null)')
  lane = await registerLane(client, 'enqueue')
})

afterAll(async () => {
  await orm.close()
  await pool.end()
  await client.end()
  await database.drop()
})

beforeEach(() => client.query('truncate outbox_message, outbox_scheduled, note'))

const soon = { timeout: 10_000, interval: 20 }

const message = (payload: unknown) => ({ routingKey: 'orders', payload })

const payloads = async (table = 'outbox_message'): Promise<unknown[]> => {
  const { rows } = await client.query<{ payload: unknown }>(
    `select payload from ${table} where lane = $1 order by id`,
    [lane],
  )
  return rows.map(({ payload }) => payload)
}

const outsideATransaction = expect.objectContaining({ code: 'not_in_transaction' })

test('a client outside a transaction is refused', async () => {
  await expect(enqueue(client, message(1), { lane })).rejects.toThrow(outsideATransaction)
  expect(await payloads()).toEqual([])
})

test('a pool is refused, since it has no transaction', async () => {
  await expect(enqueue(pool, message(1), { lane })).rejects.toThrow(outsideATransaction)
  expect(await payloads()).toEqual([])
})

test('a library that puts its own error around that of Postgres is refused as well', async () => {
  const wrapping = {
    query: async (text: string, values: unknown[]) => {
      try {
        return await client.query<Record<string, unknown>>(text, values)
      } catch (cause) {
        throw new Error(`failed: ${text}`, { cause })
      }
    },
  }
  await expect(enqueue(wrapping, message(1), { lane })).rejects.toThrow(outsideATransaction)
})

test('an entity manager outside a transaction is refused', async () => {
  await expect(enqueue(orm.em.fork(), message(1), { lane })).rejects.toThrow(outsideATransaction)
  expect(await payloads()).toEqual([])
})

test('a message is there once the transaction of a client commits, and not before', async () => {
  const writer = await pool.connect()
  await writer.query('begin')
  await enqueue(writer, message({ order: 1 }), { lane })
  expect(await payloads()).toEqual([])
  await writer.query('commit')
  writer.release()
  expect(await payloads()).toEqual([{ order: 1 }])
})

test('a message of a transaction that is rolled back never appears', async () => {
  await client.query('begin')
  await enqueue(client, message(1), { lane })
  await client.query('rollback')
  expect(await payloads()).toEqual([])
})

test('a unit of work and its messages commit together, without a flush in between', async () => {
  await orm.em.fork().transactional(async (em) => {
    em.create(Note, { text: 'written' }, { persist: true })
    await enqueue(em, message('told'), { lane })
  })
  expect(await payloads()).toEqual(['told'])
  expect((await client.query('select text from note')).rows).toEqual([{ text: 'written' }])
})

test('a unit of work that fails takes its messages with it', async () => {
  const failing = orm.em.fork().transactional(async (em) => {
    await enqueue(em, message('told'), { lane })
    throw new Error('changed my mind')
  })
  await expect(failing).rejects.toThrow('changed my mind')
  expect(await payloads()).toEqual([])
})

/** The client, and the statements that it is asked for. */
const spiedOn = () => {
  const statements: string[] = []
  const query = (text: string, values: unknown[]) => {
    statements.push(text)
    return client.query<Record<string, unknown>>(text, values)
  }
  return { statements, query }
}

test('many messages are one statement and keep their order', async () => {
  const tx = spiedOn()
  const numbers = Array.from({ length: 1_000 }, (_, index) => index)
  await client.query('begin')
  await enqueue(tx, numbers.map(message), { lane })
  await client.query('commit')
  expect(await payloads()).toEqual(numbers)
  expect(tx.statements.filter((text) => text.includes('insert'))).toHaveLength(1)
})

test('the order of the messages is asked for, and does not hang on how Postgres reads a list', async () => {
  const tx = spiedOn()
  await client.query('begin')
  await enqueue(tx, [message(1), message(2)], { lane })
  await enqueue(tx, [message(3), { ...message(4), delayMs: 60_000 }], { lane })
  await client.query('rollback')
  const inserts = tx.statements.flatMap((text) => text.split('insert into').slice(1))
  expect(inserts).toHaveLength(3)
  for (const insert of inserts) expect(insert).toMatch(/order by position\s*(\)|$)/)
})

test('a list of more than 16 MiB is several statements, in the order of the call and all behind the locks of its keys', async () => {
  const { statements, ...tx } = spiedOn()
  const numbers = Array.from({ length: 25 }, (_, index) => index)
  const filling = 'x'.repeat(1_000_000)
  await client.query('begin')
  await enqueue(
    tx,
    numbers.map((number) => ({
      ...message([number, filling]),
      ...(number % 2 === 0 ? { orderingKey: 'one and the same' } : { delayMs: 1_000 }),
    })),
    { lane },
  )
  await client.query('commit')
  const written = async (table: string): Promise<number[]> => {
    const { rows } = await client.query<{ number: number }>(
      `select (payload ->> 0)::int as number from ${table} order by id`,
    )
    return rows.map(({ number }) => number)
  }
  expect(await written('outbox_message')).toEqual(numbers.filter((number) => number % 2 === 0))
  expect(await written('outbox_scheduled')).toEqual(numbers.filter((number) => number % 2 === 1))
  expect(statements.map((text) => /lock table|advisory|insert/.exec(text)?.[0])).toEqual([
    'lock table',
    'advisory',
    'insert',
    'insert',
  ])
})

/** A transaction, and the locks of keys that it has or waits for. */
const beginWriter = async () => {
  const tx = await pool.connect()
  onTestFinished(() => tx.release(true))
  // A plan that sorts where nothing asks for it would hide that nothing does.
  await tx.query('begin; set local enable_sort = off')
  const pids = await tx.query<{ pid: number }>('select pg_backend_pid() as pid')
  const locks = async (keys: readonly string[]) => {
    const { rows } = await client.query<{ key: string; granted: boolean }>(
      `select key, granted from unnest($3::text[]) with ordinality as given (key, position)
         join pg_locks on objid::bigint = hashtext(key)::bit(32)::bigint
       where pid = $1 and locktype = 'advisory' and classid::bigint = $2
       order by position`,
      [pids.rows[0]?.pid, orderingLockClass, keys],
    )
    return rows
  }
  return { tx, locks }
}

test('of two calls with the same keys in opposite order one waits at the first key, and they do not deadlock', async () => {
  const given = Array.from({ length: 20 }, (_, index) => `key ${index}`)
  const { rows } = await client.query<{ key: string }>(
    'select key from unnest($1::text[]) as key order by hashtext(key)',
    [given],
  )
  const keys = rows.map(({ key }) => key)
  const [first = '', middle = ''] = [keys[0], keys[10]]
  const keyed = (orderingKey: string) => ({ ...message(orderingKey), orderingKey })
  const [one, other] = await Promise.all([beginWriter(), beginWriter()])
  await client.query('begin')
  onTestFinished(async () => void (await client.query('rollback')))
  await enqueue(client, keyed(middle))

  const ofOne = enqueue(one.tx, given.map(keyed))
  const upToMiddle = keys.slice(0, 11).map((key) => ({ key, granted: key !== middle }))
  await expect.poll(() => one.locks(keys), soon).toEqual(upToMiddle)
  const ofOther = enqueue(other.tx, given.toReversed().map(keyed))
  await expect.poll(() => other.locks(keys), soon).toEqual([{ key: first, granted: false }])

  await client.query('rollback')
  await ofOne
  await one.tx.query('commit')
  await ofOther
  await other.tx.query('commit')
  expect((await client.query('select from outbox_message')).rowCount).toBe(40)
})

test('no messages: nothing happens, not even outside a transaction', async () => {
  await expect(enqueue(client, [], { lane })).resolves.toBeUndefined()
})

test('every kind of JSON value comes back as it was written', async () => {
  const values = [null, true, 0, -1.5e300, '', 'ação 🚚', [], {}, { a: [null, { b: '\\u0000' }] }]
  await client.query('begin')
  await enqueue(client, values.map(message), { lane })
  await enqueue(
    client,
    values.map((value) => ({ ...message(value), delayMs: 1 })),
    { lane },
  )
  await client.query('commit')
  expect(await payloads()).toEqual(values)
  expect(await payloads('outbox_scheduled')).toEqual(values)
})

test('messages with a delay wait elsewhere, by the clock of the database', async () => {
  await client.query('begin')
  await enqueue(client, [message('now'), { ...message('later'), delayMs: 90_000 }], { lane })
  const { rows } = await client.query(
    `select payload, extract(epoch from available_at - now())::int as seconds from outbox_scheduled where lane = $1`,
    [lane],
  )
  await client.query('commit')
  expect(await payloads()).toEqual(['now'])
  expect(rows).toEqual([{ payload: 'later', seconds: 90 }])
})

test('a delay counts from the call on, however long its transaction has been open', async () => {
  await client.query('begin')
  await client.query('select pg_sleep(0.5)')
  await enqueue(client, { ...message('later'), delayMs: 1_000 }, { lane })
  const { rows } = await client.query(
    'select extract(epoch from available_at - now()) >= 1.5 as waits from outbox_scheduled where lane = $1',
    [lane],
  )
  await client.query('commit')
  expect(rows).toEqual([{ waits: true }])
})

test('a hole in a list is no message, and none of the list is written', async () => {
  const list = Object.assign([message(1)], { 2: message(3) })
  await client.query('begin')
  await expect(enqueue(client, list, { lane })).rejects.toMatchObject({
    code: 'message_invalid',
    message: 'message 2 of 3: expected an object with a routingKey and a payload, got undefined',
  })
  await client.query('commit')
  expect(await payloads()).toEqual([])
})

test('without a lane a message goes to the first one, whose relay always runs', async () => {
  await client.query('begin')
  await enqueue(client, message(1))
  const { rows } = await client.query('select lane from outbox_message')
  await client.query('rollback')
  expect(rows).toEqual([{ lane: 1 }])
})

test.each([{}, { delayMs: 1_000 }])(
  'a lane of ordering keys is refused for messages without a key, at once: %o',
  async (later) => {
    const { rows } = await client.query<{ id: number }>(`select id from outbox_lane where name = 'key 1'`)
    const id = rows[0]?.id ?? 0
    await client.query('begin')
    await enqueue(client, { ...message(1), ...later, orderingKey: 'order 1' }, { lane: id })
    await expect(enqueue(client, { ...message(2), ...later }, { lane: id })).rejects.toThrow(
      expect.objectContaining({
        code: 'lane_invalid',
        message: `lane: ${id} is a lane of ordering keys, which enqueue chooses by itself`,
      }),
    )
    await client.query('rollback')
  },
)

test.each([
  [{ lane: 0 }, 'lane_invalid', 'lane: expected the number of a lane, got 0'],
  [{ lane: 3e9 }, 'lane_invalid', 'lane: expected the number of a lane, got 3000000000'],
  [{ lane: 'default' }, 'lane_invalid', 'lane: expected the number of a lane, got string'],
  [{ lanes: 2 }, 'option_invalid', 'lanes: enqueue has no such option, did you mean "lane"?'],
  [
    { maxPayloadBytes: Number.NaN },
    'option_invalid',
    'maxPayloadBytes: expected a whole number from 1 to 134217728, got NaN',
  ],
  [
    { maxPayloadBytes: '1MB' },
    'option_invalid',
    'maxPayloadBytes: expected a whole number from 1 to 134217728, got string',
  ],
  [null, 'option_invalid', 'options: expected an object, got null'],
  [7, 'option_invalid', 'options: expected an object, got number'],
])('the options %o are refused with what was expected', async (options, code, text) => {
  await client.query('begin')
  // As from JavaScript, which no type keeps from it.
  const enqueued: Promise<unknown> = Reflect.apply(enqueue, null, [client, message(1), options])
  await expect(enqueued).rejects.toThrow(expect.objectContaining({ code, message: text }))
  await client.query('commit')
  expect((await client.query('select from outbox_message')).rowCount).toBe(0)
})

test('a message that cannot be published is refused before anything is written, with its place in the call', async () => {
  await client.query('begin')
  await expect(enqueue(client, [message(1), message('a\0b')], { lane })).rejects.toThrow(
    /^message 2 of 2: payload: a NUL character/,
  )
  await client.query('commit')
  expect(await payloads()).toEqual([])
})

test('queryable binds values and returns rows, in a transaction and outside', async () => {
  const text = 'select $1::int + 1 as sum, $2::text as text'
  const em = orm.em.fork()
  const expected = { rows: [{ sum: 42, text: `it's` }] }
  expect(await queryable(em).query(text, [41, `it's`])).toMatchObject(expected)
  expect(await em.transactional((tx) => queryable(tx).query(text, [41, `it's`]))).toMatchObject(expected)
  const inserted = await queryable(em).query(`insert into note (text) values ('a'), ('b')`, [])
  expect(inserted).toMatchObject({ rows: [] })
})

test('queryable within a transaction sees what it wrote, and nobody else does', async () => {
  await orm.em.fork().transactional(async (em) => {
    await queryable(em).query('insert into note (text) values ($1)', ['mine'])
    expect((await queryable(em).query('select text from note', [])).rows).toEqual([{ text: 'mine' }])
    expect((await client.query('select text from note')).rows).toEqual([])
  })
})

test('a lane is registered once, however many register it at the same time', async () => {
  const ids = await Promise.all(Array.from({ length: 8 }, () => registerLane(pool, 'web-7')))
  expect(new Set(ids).size).toBe(1)
  expect(await registerLane(queryable(orm.em.fork()), 'web-7')).toBe(ids[0])
  expect((await client.query(`select kind from outbox_lane where name = 'web-7'`)).rows).toEqual([{ kind: 'pod' }])
})

test('the name of a key lane is refused: rows without a key would be strays there', async () => {
  await expect(registerLane(client, 'key 1')).rejects.toThrow(
    expect.objectContaining({
      code: 'lane_invalid',
      message: 'key 1: a lane of ordering keys, which enqueue chooses by itself',
    }),
  )
})

test.each([
  ['key', 'key'],
  ['none', 'none'],
  [Symbol('pod'), 'symbol'],
])(
  'no lane of the kind %o is registered: one more for keys would part those that have messages',
  async (kind, shown) => {
    // As from JavaScript: the type has only those that may be registered.
    await expect(Reflect.apply(registerLane, null, [client, 'one more', kind])).rejects.toThrow(
      expect.objectContaining({ code: 'lane_invalid', message: `kind: expected "pod" or "always", got ${shown}` }),
    )
    expect((await client.query(`select from outbox_lane where name = 'one more'`)).rowCount).toBe(0)
  },
)
