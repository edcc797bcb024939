import { loadSql } from '@esteira/sql'
import { defineFunction, sqlText } from '@esteira/workflow'
import { beforeAll, expect, test } from 'vitest'
import * as z from 'zod'
import { configCheckOf } from './check-config.ts'

beforeAll(loadSql)

const check = configCheckOf(
  defineFunction({
    name: 'Database.query',
    config: z.strictObject({
      sql: sqlText({ params: 'params' }),
      params: z.union([z.array(z.unknown()), z.record(z.string(), z.unknown())]).default([]),
    }),
    run: () => null,
  }),
)

test.each([
  [{ sql: 'select 1' }],
  [{ sql: 'insert into leads (email) values ($1)', params: ['{{ payload.email }}'] }],
  [{ sql: 'insert into leads (email) values (:email)', params: { email: '{{ payload.email }}' } }],
  [{ sql: 'insert into leads (a, b) values ($1, $2)', params: '{{ payload.values }}' }],
  [{ sql: 'insert into leads (a, b) values (:a, :b)', params: '{{ payload }}' }],
])('a statement that has its values is fine: %j', (config) => {
  expect(check(config)).toEqual([])
})

test('what Postgres could not read is told with its place', () => {
  expect(check({ sql: 'insert int leads' })).toEqual([
    { pointer: '/sql', message: 'syntax error at or near "int", at line 1, column 8' },
  ])
  expect(check({ sql: 'delete from a; delete from b', params: [1] })).toEqual([
    { pointer: '/sql', message: 'has 2 statements, and one is allowed: the second begins at line 1, column 16' },
  ])
  expect(check({ sql: `select 1${'+1'.repeat(15_000)}` })).toEqual([
    { pointer: '/sql', message: expect.stringContaining('nests too deep') },
  ])
})

test('values and parameters are counted against each other', () => {
  expect(check({ sql: 'select $1, $2, $3', params: ['{{ payload.a }}', 'b'] })).toEqual([
    { pointer: '/params', message: 'has 2 values, and the last parameter of sql is $3' },
  ])
  expect(check({ sql: 'select $1' })).toEqual([
    { pointer: '/params', message: 'has no values, and the last parameter of sql is $1' },
  ])
})

test('a name that is missing, or meant otherwise, is told where it is', () => {
  expect(check({ sql: 'select :email, :name', params: { mail: 1, name: 2 } })).toEqual([
    { pointer: '/params/email', message: 'is missing: sql has :email' },
    { pointer: '/params/mail', message: 'is not used in sql, did you mean "email"?' },
  ])
  expect(check({ sql: 'select 1', params: { 'a/b': 1 } })).toEqual([
    { pointer: '/params/a~1b', message: 'is not used in sql' },
  ])
})

test('what its schema refuses is told once, and is not read', () => {
  expect(check({ sql: 'select {{ payload.id }}' })).toEqual([{ pointer: '/sql', message: 'takes no {{ expression }}' }])
  expect(check({ sql: '' })).toEqual([{ pointer: '/sql', message: 'must not be empty' }])
  expect(check({ sql: 7 })).toEqual([{ pointer: '/sql', message: 'must be a string, 7 came' }])
  expect(check({ sql: 'select $1', params: 7 }).map(({ pointer }) => pointer)).not.toContain('/params/0')
})
