import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { call, useTarget } from '../test/use-target.ts'

useTarget(
  `create table lead (id int);
   create type mood as enum ('glad', 'sad');
   create domain age as int check (value >= 0);
   create type place as (city text, floor int)`,
  {
    elsewhere: (address) =>
      address.searchParams.set(
        'options',
        '-c datestyle=SQL,DMY -c intervalstyle=iso_8601 -c bytea_output=escape -c extra_float_digits=0',
      ),
  },
)

const types: [type: string, written: string, value: unknown][] = [
  ['int2', '-32768', -32_768],
  ['int4', '2147483647', 2_147_483_647],
  ['int8', '9007199254740993', '9007199254740993'],
  ['int8[]', '{9007199254740993,-9007199254740993}', ['9007199254740993', '-9007199254740993']],
  ['numeric', '12345678901234567890.10', '12345678901234567890.10'],
  ['numeric', 'NaN', 'NaN'],
  ['numeric', 'Infinity', 'Infinity'],
  ['numeric[]', '{12345678901234567890.10,NaN,null}', ['12345678901234567890.10', 'NaN', null]],
  ['float8', '1.5', 1.5],
  // As many digits as there may be, the largest, the smallest, and one above what a whole number is told apart by.
  ['float8', '0.30000000000000004', 0.1 + 0.2],
  ['float8', '1.7976931348623157e+308', Number.MAX_VALUE],
  ['float8', '5e-324', Number.MIN_VALUE],
  ['float8', '-9007199254740992', -(2 ** 53)],
  ['float8[]', '{0.30000000000000004,1e+308,-5e-324}', [0.1 + 0.2, 1e308, -5e-324]],
  ['float4', '16777216', 2 ** 24],
  ['float4', '3.4028235e+38', 3.4028235e38],
  ['float8', 'Infinity', 'Infinity'],
  ['float8', '-Infinity', '-Infinity'],
  ['float4', 'NaN', 'NaN'],
  ['float8', '-0', '-0'],
  ['float4[]', '{-0,0}', ['-0', 0]],
  [
    'float8[]',
    '{ {1.5,NaN},{null,-Infinity}}',
    [
      [1.5, 'NaN'],
      [null, '-Infinity'],
    ],
  ],
  ['bool', 'true', true],
  ['bool[]', '{t,f,null}', [true, false, null]],
  ['text', 'é "quoted" \\ {}', 'é "quoted" \\ {}'],
  ['text[]', '{a,"b,\\"c",NULL,"NULL"}', ['a', 'b,"c', null, 'NULL']],
  ['uuid', '0190f1c4-7b1e-7c3a-9d54-3b8f1f6b2a10', '0190f1c4-7b1e-7c3a-9d54-3b8f1f6b2a10'],
  ['mood', 'sad', 'sad'],
  ['age', '7', 7],
  ['place', '(Recife,3)', '(Recife,3)'],
  ['date', '2024-02-29', '2024-02-29'],
  ['date', 'infinity', 'infinity'],
  ['date', '0044-03-15 BC', '0044-03-15 BC'],
  ['date[]', '{2024-01-01,infinity}', '{2024-01-01,infinity}'],
  ['time[]', '{10:00:00,null}', ['10:00:00', null]],
  ['bytea[]', '{"\\\\x00ff"}', '{"\\\\x00ff"}'],
  ['mood[]', '{glad,sad}', '{glad,sad}'],
  ['uuid[]', '{0190f1c4-7b1e-7c3a-9d54-3b8f1f6b2a10}', ['0190f1c4-7b1e-7c3a-9d54-3b8f1f6b2a10']],
  ['time', '23:59:59.999999', '23:59:59.999999'],
  ['timestamp', '2024-01-01 22:00:00.123456', '2024-01-01 22:00:00.123456'],
  ['timestamp', '-infinity', '-infinity'],
  ['timestamptz', 'infinity', 'infinity'],
  ['interval', '1 mon 2 days 03:04:05.6', '1 mon 2 days 03:04:05.6'],
  ['bytea', '\\x00ff', '\\x00ff'],
  ['json', '{"a":[1,null]}', { a: [1, null] }],
  ['jsonb', '{"a": [1, null]}', { a: [1, null] }],
  ['jsonb', '[1, "2", {}]', [1, '2', {}]],
  ['jsonb', 'true', true],
  ['jsonb[]', '{"{\\"a\\": 1}",null}', [{ a: 1 }, null]],
  ['jsonb[]', '{"\\"a\\"","[1, [2]]","\\"1\\"",1,true,"{}",null}', ['a', [1, [2]], '1', 1, true, {}, null]],
  [
    'jsonb[]',
    '{"[1, 2]","[3, 4]"}',
    [
      [1, 2],
      [3, 4],
    ],
  ],
  ['json[]', '{"\\"a, b\\"","[]"}', ['a, b', []]],
  ['jsonb[]', '{}', []],
  ['int4range', '[1,5)', '[1,5)'],
  ['point', '(1,Infinity)', '(1,Infinity)'],
  ['inet', '10.0.0.1/8', '10.0.0.1/8'],
  ['inet[]', '{10.0.0.1/8,null}', ['10.0.0.1/8', null]],
  ['cidr[]', '{10.0.0.0/8}', ['10.0.0.0/8']],
  ['macaddr[]', '{08:00:2b:01:02:03}', ['08:00:2b:01:02:03']],
  ['timetz[]', '{10:00:00+02}', ['10:00:00+02']],
  ['numrange[]', '{"[1.5,2)"}', ['[1.5,2)']],
  ['oid', '4294967295', 4_294_967_295],
  ['oid[]', '{1,4294967295}', [1, 4_294_967_295]],
]

test.each(types)('the %s %s goes on as JSON without a loss, and comes back the same', async (type, written, value) => {
  const literal = `'${written.replaceAll("'", "''")}'::${type}`
  const rows = await call({ sql: `select ${literal} as value` })
  expect(JSON.parse(JSON.stringify(rows))).toEqual([{ value }])
  const back = `select ($1::${type})::text = (${literal})::text as same`
  expect(await call({ sql: back, params: [value] })).toEqual([{ same: true }])
  const writing = `with given as (insert into lead select 1 where ($1::${type})::text = (${literal})::text returning id)
                    select count(*)::int as same from given`
  expect(await call({ sql: writing, params: [value] }), 'as a statement that writes').toEqual([{ same: 1 }])
})

test.each(types)(
  'the %s %s is the same where the ledger gives it to a job that comes again',
  async (type, written, value) => {
    const jobId = randomUUID()
    const sql = `insert into lead select 1 returning '${written.replaceAll("'", "''")}'::${type} as value`
    for (const _ of ['first', 'second']) expect(await call({ sql }, { jobId })).toEqual([{ value }])
  },
)

test.each([
  ['a statement that reads', 'select'],
  ['one that writes', 'insert into lead select 1 returning'],
])('what the database sets for its dates and bytes does not change what %s gives', async (_, verb) => {
  const sql = `${verb} date '2026-02-01' as day, timestamptz '2026-02-01 12:00+00' at time zone 'UTC' as at,
                 interval '1 month 2 days' as span, '\\x00ff'::bytea as bytes, 0.1::float8 + 0.2::float8 as sum`
  const row = { day: '2026-02-01', at: '2026-02-01 12:00:00', span: '1 mon 2 days', bytes: '\\x00ff', sum: 0.1 + 0.2 }
  expect(await call({ sql, connection: 'elsewhere' })).toEqual([row])
  expect(await call({ sql })).toEqual([row])
  const order = `select '1/2/2026'::date as day`
  expect(await call({ sql: order, connection: 'elsewhere' }), 'what is read is read as it is set').toEqual([
    { day: '2026-02-01' },
  ])
})

test('a number in JSON that would be another one here goes on as its text, with all its digits', async () => {
  const sql = `select json '{"id": 9007199254740993}' as one, jsonb '[0.12345678901234567890, 1.5]' as other,
                      array[jsonb '9007199254740993'] as several`
  expect(await call({ sql })).toEqual([
    { one: { id: '9007199254740993' }, other: ['0.12345678901234567890', 1.5], several: ['9007199254740993'] },
  ])
})

test('an instant is the same instant when it comes back, whatever the zone of the session', async () => {
  const [row] = Object.values(Object(await call({ sql: `select timestamptz '2024-07-01 12:00+00' as at` })))
  const { at } = Object(row)
  expect(
    new Date(
      String(at)
        .replace(' ', 'T')
        .replace(/([+-]\d\d)$/, '$1:00'),
    ).toISOString(),
  ).toBe('2024-07-01T12:00:00.000Z')
  const sql = `select $1::timestamptz = '2024-07-01 12:00+00' as same`
  expect(await call({ sql, params: [at] })).toEqual([{ same: true }])
})

test.each(['int4', 'text', 'timestamptz', 'jsonb', 'int4[]', 'bytea', 'mood'])('null is null: %s', async (type) => {
  expect(await call({ sql: `select null::${type} as value` })).toEqual([{ value: null }])
  expect(await call({ sql: `select ($1::${type}) is null as nothing`, params: [null] })).toEqual([{ nothing: true }])
})
