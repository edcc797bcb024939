import { emptyDatabase } from '@esteira/test/support'
import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { dumpSchema } from './dump.ts'

let database: Awaited<ReturnType<typeof emptyDatabase>>
let client: pg.Client
beforeEach(async () => {
  database = await emptyDatabase()
  client = new pg.Client(database.url)
  await client.connect()
})
afterEach(async () => {
  await client.end()
  await database.drop()
})

const dumpOf = async (...statements: string[]): Promise<string> => {
  await client.query('drop schema public cascade; create schema public')
  for (const statement of statements) await client.query(statement)
  return dumpSchema(client)
}

test('everything that a migration can change is in the text', async () => {
  const table = 'create table a (id int primary key, b text)'
  const base = await dumpOf(table)
  const changes = [
    'alter table a add column c int',
    'alter table a alter column b set not null',
    `alter table a alter column b set default 'x'`,
    'alter table a alter column b type varchar(10)',
    'alter table a alter column id add generated always as identity',
    'alter table a add column c int generated always as (id + 1) stored',
    `alter table a add check (b <> '')`,
    'alter table a add unique (b)',
    'alter table a add foreign key (id) references a (id)',
    'alter table a set unlogged',
    'alter table a set (fillfactor = 50)',
    'create index on a (b)',
    'create unique index on a (b) where b is not null',
    `create function f() returns trigger language plpgsql as 'begin return new; end'`,
  ]
  const dumps = []
  for (const change of changes) dumps.push(await dumpOf(table, change))
  expect(new Set([base, ...dumps]).size).toBe(changes.length + 1)
  const fn = `create function f() returns trigger language plpgsql as 'begin return new; end'`
  const trigger = 'create trigger t before update on a for each row execute function f()'
  expect(await dumpOf(table, fn, trigger)).toContain('CREATE TRIGGER t BEFORE UPDATE')
})

test('the text does not depend on the order in which things were made', async () => {
  const statements = [
    'create table a (id int primary key, b text, check (id > 0), unique (b))',
    'create table b (id int primary key)',
    'create index a_one on a (b)',
    'create index a_two on a (b, id)',
  ]
  const [a = '', b = '', one = '', two = ''] = statements
  expect(await dumpOf(b, a, two, one)).toBe(await dumpOf(a, b, one, two))
})

test.each([
  ['create view v as select 1 as one', 'v (relation of kind v)'],
  [`create type mood as enum ('calm')`, 'mood (type)'],
  ['create sequence s', 's (relation of kind S)'],
])('what it could not show is refused: %s', async (statement, name) => {
  await expect(dumpOf(statement)).rejects.toThrow(`does not know how to show ${name}`)
})
