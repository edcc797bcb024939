import { afterAll, expect, test } from 'vitest'
import { emails, insert, leadTable } from '../test/insert-lead.ts'
import { admin, call, query, useTarget } from '../test/use-target.ts'

useTarget(
  `${leadTable};
   create sequence numbers maxvalue 9; create table sized (text varchar(3));
   create role reader login password 'reader';
   grant usage on schema public to reader;
   grant select, insert on lead to reader`,
  {
    reader: (address) => {
      address.username = 'reader'
      address.password = 'reader'
    },
    nowhere: (address) => {
      address.pathname = '/nowhere'
    },
  },
)

afterAll(() => admin.query('drop owned by reader; drop role reader'))

test('an insert without "returning" has no items to pass on under multiple: it says so, and writes nothing', async () => {
  const sql = 'insert into lead values (1)'
  await expect(call({ sql }, { outputType: 'multiple', hasNext: true })).rejects.toMatchObject({
    final: true,
    message: 'config.sql gives no rows that could be passed on: expected "returning" or a select, or outputType null',
  })
  expect(await emails()).toEqual([])
  expect(await call({ sql: 'select 1 from lead' }, { outputType: 'multiple', hasNext: true })).toEqual([])
})

test('what is taken for reading cannot write, and the message says what to set', async () => {
  await admin.query(
    `create or replace function sneak() returns int language sql as 'insert into lead values (9) returning id'`,
  )
  await expect(call({ sql: 'select sneak()' })).rejects.toThrow(
    expect.objectContaining({
      code: 'statement_refused',
      final: true,
      message: expect.stringContaining('set config.mode to "execute"'),
    }),
  )
  expect(await emails()).toEqual([])
  expect(await call({ sql: 'select sneak()', mode: 'execute' })).toEqual([{ sneak: 9 }])
})

test.each([
  [
    'a syntax error',
    { sql: 'insert int lead values (1)' },
    /^config\.sql: syntax error at or near "int", at character 8 \(SQLSTATE 42601\)$/,
  ],
  [
    'a parameter too few',
    insert(1, 'x', { params: ['secret-value'] }),
    /^config\.sql: expected as many config\.params as the highest \$n, 2, but 1 came \(SQLSTATE 08P01\)$/,
  ],
  [
    'a parameter too many',
    insert(1, 'x', { params: [1, 'x', 'secret-value'] }),
    /^config\.sql: expected as many config\.params as the highest \$n, 2, but 3 came \(SQLSTATE 08P01\)$/,
  ],
  [
    'a parameter that is skipped',
    insert(1, 'x', { sql: 'select $2::text', params: [1, 'secret-value'], mode: 'execute' }),
    /^config\.sql: could not determine data type of parameter \$1 \(SQLSTATE 42P18\)$/,
  ],
  [
    'a value of another type',
    insert(1, 'x', { params: ['secret-value', 'x'] }),
    /^config\.params\[0\]: invalid input syntax for type integer \(SQLSTATE 22P02\)$/,
  ],
  [
    'text that is no JSON',
    insert(1, 'x', { sql: 'select $1::int, $2::jsonb', params: [1, 'secret-value'] }),
    /^config\.params\[1\]: invalid input syntax for type json \(SQLSTATE 22P02\)$/,
  ],
])('%s is final and says where, without values', async (_, config, message) => {
  const failure = await call(config).then(
    () => 'no failure',
    (error: unknown) => error,
  )
  expect(failure).toMatchObject({ code: 'statement_refused', final: true, message: expect.stringMatching(message) })
  expect(String(failure)).not.toContain('secret-value')
})

test.each([
  [`select to_date($1, 'Month')`],
  ['select now() at time zone $1'],
  ['select date_trunc($1, now())'],
  ['select $1::bit(3)'],
  ['select $1::regclass'],
  ['select nextval($1)'],
  ['select $1::regtype'],
  [`select has_table_privilege($1, 'select')`],
  [`select has_database_privilege($1, 'connect')`],
  [`select set_config($1, 'x', true)`],
  ['select pg_read_file($1)'],
  ['select $1::regclass', 'a.secret.of.many.names'],
  ['select $1::regoper', 'secret'],
  ['select $1::regoperator', 'secret(integer, integer)'],
  ['select $1::regproc', 'secret'],
  ['select $1::regprocedure', 'secret(integer)'],
  ['select $1::regprocedure', 'lower(secret)'],
  ['select $1::regtype', 'secret[]'],
])('a value that the server takes for a name or a word is not told: %s %s', async (sql, value = 'secret-value') => {
  const failure = await call({ sql, params: [value] }).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'statement_refused', final: true })
  expect(String(failure)).not.toContain('secret')
})

test.each([
  [`select get_byte('\\x00'::bytea, $1)`, 'index ... out of valid range'],
  ['select lo_get($1)', 'large object ... does not exist'],
  ['select chr($1)', 'requested character too large for encoding: ...'],
  [`select setval('numbers', $1)`, 'setval'],
  ['insert into sized values ($1::text)', 'value too long for type character varying(3)'],
])('nor is a number that is a value: %s', async (sql, message) => {
  const failure = await call({ sql, params: [47114711], mode: 'execute' }).catch((error: unknown) => error)
  expect(String(failure)).not.toContain('4711')
  expect(failure).toMatchObject({ code: 'statement_refused', message: expect.stringContaining(message) })
})

test('nor is it told where another time may be better, which costs an attempt', async () => {
  await admin.query('create sequence if not exists "secret-value"')
  const currval = call({ sql: 'select currval($1)', params: ['"secret-value"'] })
  const failure = await currval.catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 'refused_for_now', final: false })
  expect(String(failure)).not.toContain('secret')
})

test('a file that the server has not is final: no other attempt finds it', async () => {
  await expect(call({ sql: `copy lead from '/nowhere/leads.csv'` })).rejects.toThrow(
    expect.objectContaining({ code: 'statement_refused', final: true, message: expect.stringContaining('58P01') }),
  )
})

test('an unknown connection is told with the nearest name', async () => {
  await expect(call({ sql: 'select 1', connection: 'crn' })).rejects.toThrow(
    expect.objectContaining({
      code: 'connection_unknown',
      // To another worker it may be known.
      final: false,
      message: expect.stringContaining(
        'must be one of "crm", "far", "reader", "nowhere", "crn" came, did you mean "crm"?',
      ),
    }),
  )
})

test('a connection whose database is not there is told as such, not as a fault of the SQL', async () => {
  await expect(call(insert(1, 'x', { connection: 'nowhere' }))).rejects.toThrow(
    'config.connection: database "nowhere" does not exist (SQLSTATE 3D000)',
  )
})

test('an expression inside the SQL is refused, never evaluated', async () => {
  await expect(call({ sql: `select '{{ payload.email }}'` })).rejects.toThrow(
    expect.objectContaining({ code: 'config_invalid', message: expect.stringContaining('takes no {{ expression }}') }),
  )
})

test('without the right to create the ledger, the message holds the SQL to run', async () => {
  await admin.query('alter table esteira_applied rename to elsewhere')
  await expect(call(insert(1, 'x', { connection: 'reader' }))).rejects.toThrow(
    expect.objectContaining({
      code: 'ledger_missing',
      message: expect.stringContaining('create table if not exists esteira_applied'),
    }),
  )
  await admin.query(
    'alter table elsewhere rename to esteira_applied; grant select, insert, update on esteira_applied to reader',
  )
  expect(await call(insert(1, 'x', { connection: 'reader' }))).toEqual([{ id: 1 }])
})

test('a ledger that cannot be used is told as such, not as a fault of the SQL', async () => {
  await call(insert(1))
  await admin.query('grant select on esteira_applied to reader; revoke insert, update on esteira_applied from reader')
  await expect(call(insert(2, 'x', { connection: 'reader' }))).rejects.toThrow(
    expect.objectContaining({
      code: 'ledger_refused',
      final: true,
      message:
        'the ledger esteira_applied of config.connection cannot be used: permission denied for table esteira_applied ' +
        '(SQLSTATE 42501); expected a table that its user may select from, insert into and update',
    }),
  )
})

test('what is to read writes nothing, not even where no job waits for it', async () => {
  const sql = 'insert into lead values (1)'
  await expect(call({ sql, mode: 'query', confirm: 'none' })).rejects.toMatchObject({
    code: 'config_invalid',
    final: true,
  })
  await query.idle()
  expect(await emails()).toEqual([])
})

test('rows of a statement that is not waited for cannot be passed on', async () => {
  await expect(call(insert(1, 'x', { confirm: 'none' }), { outputType: 'multiple' })).rejects.toThrow(
    expect.objectContaining({ code: 'config_invalid', message: expect.stringContaining('config.confirm "none"') }),
  )
})

test.each([
  ['reading', 'select 1; commit; insert into lead values (1)'],
  ['writing', 'insert into lead values (1); commit; insert into lead values (2)'],
])('two statements in one are refused when %s, so none can leave the transaction', async (_, sql) => {
  await expect(call({ sql })).rejects.toThrow(
    expect.objectContaining({ code: 'statement_refused', message: expect.stringContaining('multiple commands') }),
  )
  expect(await emails()).toEqual([])
})

test.each([
  ['int', '4242424242', 'a value is out of range for type integer (SQLSTATE 22003)'],
  ['float8', '4242e4242', 'a value is out of range for type double precision (SQLSTATE 22003)'],
  ['date', '4242-42-42', 'date/time field value out of range (SQLSTATE 22008)'],
  ['uuid', '4242', 'invalid input syntax for type uuid (SQLSTATE 22P02)'],
])('a value that is no %s is refused without being told', async (type, value, message) => {
  const refused = call({ sql: `select $1::${type}`, params: [value] })
  await expect(refused).rejects.toThrow(
    expect.objectContaining({ code: 'statement_refused', message: `config.params[0]: ${message}` }),
  )
})
