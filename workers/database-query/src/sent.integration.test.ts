import { testFunction } from '@esteira/workflow'
import { expect, test } from 'vitest'
import { emails, leadTable } from '../test/insert-lead.ts'
import { admin, call, query, useTarget } from '../test/use-target.ts'

useTarget(leadTable, {})

const sql = `insert into lead (id, email) values (:id, :email || '@' || :host) returning id, email`

test('parameters may have names, and values go by them', async () => {
  const params = { host: 'example.com', id: 1, email: 'ana' }
  expect(await call({ sql, params })).toEqual([{ id: 1, email: 'ana@example.com' }])
  expect(await call({ sql: 'select :n::int as n, :n::int + 1 as next', params: { n: 1 } })).toEqual([{ n: 1, next: 2 }])
})

test('a value by its name keeps its type', async () => {
  const types = 'select :list::int[] as list, :json::jsonb as json, :none::text is null as none, :flag::bool as flag'
  const params = { list: [1, 2], json: [1, 'a'], none: null, flag: true }
  expect(await call({ sql: types, params })).toEqual([{ list: [1, 2], json: [1, 'a'], none: true, flag: true }])
})

test.each([
  ['insert into lead values ($1, $2)', ['{{ payload.id }}', '{{ payload.email }}']],
  ['insert into lead values (:id, :email)', { id: '{{ payload.id }}', email: '{{ payload.email }}' }],
])('a value that the payload does not have is null: %s', async (text, params) => {
  const config = { connection: 'crm', sql: text, params, once: false }
  await testFunction(query.fn, { config, payload: { id: 1 }, outputType: null })
  expect((await admin.query('select * from lead')).rows).toEqual([{ id: 1, email: null }])
})

test.each([
  [sql, { id: 1, email: 'secret' }, 'config.params.host is missing: sql has :host'],
  [sql, { id: 1, email: 'secret', hosts: 'secret' }, 'config.params.host is missing: sql has :host'],
  ['select :email::text', { email: 'secret', mail: 'secret' }, 'config.params.mail is not used in sql'],
  [sql, ['secret'], 'config.params must be an object with "id", "email", "host"'],
  ['insert int lead', { id: 1 }, 'config.sql syntax error at or near "int", at line 1, column 8'],
])('what does not fit is final, and told without a value: %s %o', async (text, params, message) => {
  const failure = await call({ sql: text, params }).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'config_invalid', final: true, message })
  expect(await emails()).toEqual([])
})

test.each([
  'commit',
  'rollback',
  "prepare transaction 'lead'",
  'savepoint lead',
  'copy lead to stdout',
  'copy lead from stdin',
])('what no step may run is not sent, should it ever come past the save: %s', async (forbidden) => {
  for (const mode of ['query', 'execute']) {
    await expect(call({ sql: forbidden, mode })).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(/^config\.sql must not (begin or end a transaction|copy from or to its client)/),
    })
  }
})

test('a value that the server refuses is told by its name', async () => {
  await expect(call({ sql, params: { id: 'secret', email: 'ana', host: 'x' } })).rejects.toThrow(
    /^config\.params\.id: invalid input syntax for type integer \(SQLSTATE 22P02\)$/,
  )
})

test('a statement that locks rows by its words may write, without being told to', async () => {
  expect(await call({ sql: 'select id from lead for update' })).toEqual([])
})
