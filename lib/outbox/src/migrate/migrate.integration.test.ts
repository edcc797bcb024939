import { emptyDatabase } from '@esteira/test/support'
import { MikroORM } from '@mikro-orm/postgresql'
import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { migrate, migrations } from './index.ts'

const names = migrations.map(({ name }) => name)

let database: Awaited<ReturnType<typeof emptyDatabase>>
let db: pg.Client
beforeEach(async () => {
  database = await emptyDatabase()
  db = new pg.Client(database.url)
  await db.connect()
})
afterEach(async () => {
  await db.end()
  await database.drop()
})

const soon = { timeout: 10_000, interval: 5 }

const open = async (): Promise<pg.Client> => {
  const client = new pg.Client(database.url)
  await client.connect()
  // The database goes before the test is finished.
  client.on('error', () => {})
  return client
}

/** The tables for whose locks somebody waits. */
const waiting = async (): Promise<string[]> => {
  const { rows } = await db.query<{ name: string }>(
    `select relation::regclass::text as name from pg_locks where not granted and relation is not null
     and database = (select oid from pg_database where datname = current_database())`,
  )
  return rows.map(({ name }) => name)
}

const migrateByClient = async (settings = ''): Promise<string[]> => {
  const client = new pg.Client({ connectionString: database.url, options: settings })
  await client.connect()
  try {
    await client.query('begin')
    const applied = await migrate(client)
    await client.query('commit')
    return applied
  } finally {
    await client.end()
  }
}

const noted = async () => (await db.query('select name from outbox_migration order by name')).rows

const allOfThem = names.map((name) => ({ name }))

test('an empty database gets every migration, each notes itself, and a second call has nothing to do', async () => {
  expect(names[0]).toBe('0001_outbox')
  expect(await migrateByClient()).toEqual(names)
  expect(await noted()).toEqual(allOfThem)
  expect(await migrateByClient()).toEqual([])
})

test('of several that start at once one migrates and the others find it done', async () => {
  const applied = await Promise.all([1, 2, 3, 4].map(() => migrateByClient()))
  expect(applied.flat()).toEqual(names)
})

test('an entity manager migrates in its transaction, and nothing stays of one that is rolled back', async () => {
  const orm = new MikroORM({ clientUrl: database.url, entities: [], discovery: { warnWhenNoEntities: false } })
  try {
    await expect(migrate(orm.em.fork())).rejects.toMatchObject({ code: 'not_in_transaction' })
    const failing = orm.em.fork().transactional(async (em) => {
      await migrate(em)
      throw new Error('changed my mind')
    })
    await expect(failing).rejects.toThrow('changed my mind')
    expect(await orm.em.fork().transactional(migrate)).toEqual(names)
    expect(await noted()).toEqual(allOfThem)
  } finally {
    await orm.close()
  }
})

test('what another tool has run is not run again', async () => {
  for (const { sql } of migrations) await db.query(sql)
  expect(await migrateByClient()).toEqual([])
})

test('beside programs that write it waits for its turn, and deadlocks with none', async () => {
  const [writer, mover] = await Promise.all([open(), open()])
  await db.query(migrations[0]?.sql ?? '')
  await writer.query('begin; lock table outbox_message in row exclusive mode')
  const migrated = migrateByClient()
  await expect.poll(waiting, soon).toEqual(['outbox_message'])
  // As a move of scheduled rows locks them: in the other order.
  await mover.query('begin; lock table outbox_scheduled in row exclusive mode')
  const moved = mover.query('lock table outbox_message in row exclusive mode')
  await writer.query('commit')
  await moved
  await mover.query('commit')
  expect(await migrated).toEqual(names.slice(1))
  expect((await db.query('show lock_timeout')).rows).toEqual([{ lock_timeout: '0' }])
})

test('nor does it when one that it has waited for twice writes into the other table', async () => {
  for (const { name, sql } of migrations) if (name < '0023') await db.query(sql)
  const writer = await open()
  await writer.query('begin; lock table outbox_scheduled in row exclusive mode')
  // It looks for a deadlock in whichever try is longer than the first.
  const migrated = migrateByClient('-c deadlock_timeout=150ms')
  const waits = new Set<string>()
  const again = async () => {
    const { rows } = await db.query<{ since: string }>(
      `select waitstart::text as since from pg_locks where not granted and relation = 'outbox_scheduled'::regclass`,
    )
    for (const { since } of rows) waits.add(since)
    return waits.size
  }
  await expect.poll(again, soon).toBe(2)
  await writer.query('lock table outbox_message in row exclusive mode; commit')
  expect(await migrated).toEqual(['0023_doorbell'])
})

/** How many wait for the table for longer than this, milliseconds. */
const waitingFor = async (table: string, ms: number): Promise<number> => {
  const { rowCount } = await db.query(
    `select from pg_locks where not granted and relation = $1::regclass
     and waitstart < clock_timestamp() - $2::int * interval '1 ms'`,
    [table, ms],
  )
  return rowCount ?? 0
}

test('nor does it when one that has the other table has waited behind it for nearly as long as Postgres lets it', async () => {
  for (const { name, sql } of migrations) if (name < '0023') await db.query(sql)
  const [writer, mover] = await Promise.all([open(), open()])
  await writer.query('begin; lock table outbox_message in row exclusive mode')
  const migrated = migrateByClient()
  // Of its tries, which have 100 ms and twice as much each time, that of 1,600: where this table is the second, it is
  // waited for no longer than 500.
  await expect.poll(() => waitingFor('outbox_message', 510), soon).toBe(1)
  await mover.query('begin; lock table outbox_scheduled in row exclusive mode')
  const moved = mover.query('lock table outbox_message in row exclusive mode')
  // Of the 1,000 ms after which it looks for a deadlock.
  await expect.poll(() => waitingFor('outbox_message', 700), soon).toBe(2)
  await writer.query('commit')
  await moved
  await mover.query('commit')
  expect(await migrated).toEqual(['0023_doorbell'])
})

const tables = ['outbox_message', 'outbox_scheduled'] as const

/** Programs that write into a table in transactions that are long, and follow each other; returns what ends them. */
const keepWriting = (table: (typeof tables)[number]): (() => Promise<unknown>) => {
  const over = new AbortController()
  const write = async (): Promise<void> => {
    const writer = await open()
    while (!over.signal.aborted) {
      await writer.query(`begin; lock table ${table} in row exclusive mode`)
      await writer.query('select pg_sleep(0.15 + random() * 0.15); commit')
    }
  }
  const writing = Promise.all(Array.from({ length: 16 }, write))
  return () => {
    over.abort()
    return writing
  }
}

test.each([tables.slice(0, 1), tables])(
  'beside programs whose transactions are long and follow each other it comes to its end: %s',
  async (...written) => {
    await db.query(migrations[0]?.sql ?? '')
    const ends = written.map(keepWriting)
    expect(await migrateByClient()).toEqual(names.slice(1))
    await Promise.all(ends.map((end) => end()))
  },
)

test('each of its tables is waited for as long as its caller says, whichever the tries come to last', async () => {
  for (const { name, sql } of migrations) if (name < '0023') await db.query(sql)
  const writer = await open()
  await writer.query('begin; lock table outbox_message in row exclusive mode')
  // Of 100, 200, 400 and 700 ms: the first of 700 has patience with the other table.
  const migrated = migrateByClient('-c lock_timeout=700ms')
  const ended = writer.query(
    `do $$ begin
       for try in 1..4000 loop
         exit when exists (
           select from pg_locks where not granted and relation = 'outbox_message'::regclass
             and waitstart < clock_timestamp() - interval '420 ms'
         );
         perform pg_sleep(0.005);
       end loop;
     end $$;
     commit`,
  )
  expect(await migrated).toEqual(['0023_doorbell'])
  await ended
})

test('beside a transaction that stays open it ends with the reason, as soon as its caller says, and changes nothing', async () => {
  for (const { name, sql } of migrations) if (name < '0023') await db.query(sql)
  const writer = await open()
  await writer.query('begin; lock table outbox_message in row exclusive mode')
  await expect(migrateByClient('-c lock_timeout=150ms')).rejects.toMatchObject({
    code: 'migration_failed',
    message: expect.stringContaining(
      '0023_doorbell: outbox_message is in use by a transaction that has not ended in 150 ms',
    ),
  })
  expect(await noted()).toEqual(allOfThem.slice(0, -1))
  await writer.query('commit')
  expect(await migrateByClient('-c lock_timeout=150ms')).toEqual(['0023_doorbell'])
})

test('outside a transaction nothing is run', async () => {
  await expect(migrate(db)).rejects.toMatchObject({ code: 'not_in_transaction' })
  expect((await db.query(`select to_regclass('outbox_lane') as found`)).rows).toEqual([{ found: null }])
})

test('a migration that fails is named', async () => {
  await db.query('create table outbox_lane (id int)')
  await expect(migrateByClient()).rejects.toMatchObject({
    code: 'migration_failed',
    message: '0001_outbox: relation "outbox_lane" already exists',
  })
})

test('a second outbox in another schema of the database is refused, with the schema of the first, whoever makes it', async () => {
  await migrateByClient()
  await db.query('create schema billing')
  await db.query('set search_path = billing')
  await db.query('begin')
  const expected =
    'the schema public of this database has an outbox: a database has one, expected public first in the search_path'
  await expect(migrate(db)).rejects.toThrow(expect.objectContaining({ code: 'migration_failed', message: expected }))
  await expect(db.query(migrations[0]?.sql ?? '')).rejects.toThrow(expected)
  await db.query('rollback')
  expect((await db.query(`select to_regclass('outbox_lane') as found`)).rows).toEqual([{ found: null }])
})
