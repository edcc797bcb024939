import { dumpSchema } from '@esteira/dev/schema'
import { emptyDatabase } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { migrate, migrations } from './index.ts'

const openEmpty = async (): Promise<pg.Client> => {
  const database = await emptyDatabase()
  const client = new pg.Client(database.url)
  await client.connect()
  onTestFinished(async () => {
    await client.end()
    await database.drop()
  })
  return client
}

const migrateIn = async (client: pg.Client): Promise<void> => {
  await client.query('begin')
  await migrate(client)
  await client.query('commit')
}

/** All that the rows of the outbox are but for their times and the names of fences, which are drawn at random. */
const rowsSql = `
  select relname, query_to_xml('select * from ' || relname || ' order by 1', true, false, '')::text as rows
  from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by relname`

const madeOf = async (client: pg.Client): Promise<{ schema: string; rows: unknown }> => {
  const { rows } = await client.query<{ relname: string; rows: string }>(rowsSql)
  const settled = rows.map(({ relname, rows: text }) => [relname, text.replaceAll(/(<(?:\w+_at|fence)>)[^<]+/g, '$1')])
  return { schema: await dumpSchema(client), rows: settled }
}

/** How people run SQL that they were given: in a client, by a tool that takes one file after the other, or half of it so. */
const ways: [string, (client: pg.Client) => Promise<unknown>][] = [
  ['as one text', (client) => client.query(['begin;', ...migrations.map(({ sql }) => sql), 'commit;'].join('\n'))],
  [
    'one after the other',
    async (client) => {
      for (const { sql } of migrations) await client.query(sql)
    },
  ],
  [
    'the first by hand and the others by migrate',
    async (client) => {
      await client.query(migrations[0]?.sql ?? '')
      await migrateIn(client)
    },
  ],
]

test.each(ways)('migrations that were run by hand make what migrate makes: %s', async (_, run) => {
  const [byHand, migrated] = [await openEmpty(), await openEmpty()]
  await run(byHand)
  await migrateIn(migrated)
  const made = await madeOf(byHand)
  expect(made).toEqual(await madeOf(migrated))
  expect(made.schema).toContain('create table outbox_message (')
})
