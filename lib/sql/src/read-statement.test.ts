import { beforeAll, expect, test } from 'vitest'
import { loadSql } from './grammar.ts'
import { readStatement } from './read-statement.ts'

beforeAll(loadSql)

const read = (sql: string) => {
  const outcome = readStatement(sql)
  if (outcome.kind === 'fault') throw new Error(outcome.message)
  return outcome.statement
}

const faultOf = (sql: string): string => {
  const outcome = readStatement(sql)
  return outcome.kind === 'fault' ? outcome.message : `no fault: ${JSON.stringify(outcome.statement)}`
}

test.each([
  ['selec 1', 'syntax error at or near "selec", at line 1, column 1'],
  ['insert int leads', 'syntax error at or near "int", at line 1, column 8'],
  ["select 'ação' as a,\n  'não' b from from t", 'syntax error at or near "from", at line 2, column 16'],
  ["select '👋', from t", 'syntax error at or near "from", at line 1, column 13'],
  ['select (1', 'syntax error at end of input, at line 1, column 10'],
  ["select 'open", 'unterminated quoted string at or near "\'open", at line 1, column 8'],
  ["select :a, 'open", 'unterminated quoted string, at line 1, column 12'],
  ["select :a, 'open :b", 'unterminated quoted string, at line 1, column 12'],
  ['select /* :open', 'unterminated /* comment, at line 1, column 8'],
  ['select 1 from t where a = :not_this and', 'syntax error at end of input, at line 1, column 40'],
  ['select 1 :name', 'syntax error at or near ":", at line 1, column 10'],
  ['select (:nome :idade)', 'syntax error at or near ":", at line 1, column 15'],
  ['select f(:a) :depois, (', 'syntax error at or near ":", at line 1, column 14'],
  ['select a b :c', 'syntax error at or near ":", at line 1, column 12'],
  ['select (a, from :b)', 'syntax error at or near "from", at line 1, column 12'],
  ['select (a from, :b)', 'syntax error at or near "from", at line 1, column 11'],
  ['select from, :beta', 'syntax error at or near ",", at line 1, column 12'],
  ['insert :beta', 'syntax error at or near ":beta", at line 1, column 8'],
  ['select (:primeiro, :segundo :terceiro', 'syntax error at or near ":", at line 1, column 29'],
  ['', 'has no statement'],
  ['  \n', 'has no statement'],
  [';', 'has no statement'],
  ['-- select 1', 'has no statement'],
  ['select 1; select 2', 'has 2 statements, and one is allowed: the second begins at line 1, column 11'],
  ["select 'é';\n delete from leads;", 'has 2 statements, and one is allowed: the second begins at line 2, column 2'],
  ['select :a; select :b', 'has 2 statements, and one is allowed: the second begins at line 1, column 12'],
  ['begin', 'must not begin or end a transaction: each statement is in one already'],
  ['commit', 'must not begin or end a transaction: each statement is in one already'],
  ['savepoint a', 'must not begin or end a transaction: each statement is in one already'],
  ['copy leads from stdin', 'must not copy from or to its client: there is none'],
  ['copy leads to stdout', 'must not copy from or to its client: there is none'],
  ['select $0', 'has $0: parameters count from $1'],
  ['select $1, $3', 'has $3 and no $2: parameters count from $1 without a gap'],
  ['select $2', 'has $2 and no $1: parameters count from $1 without a gap'],
  ['select $1, :a', 'has parameters with numbers beside :a: give each a name, or each a number'],
  ['select \0 1', 'must not have a character U+0000'],
])('%j is refused with its place', (sql, message) => {
  expect(faultOf(sql)).toBe(message)
})

test.each([
  ['select 1', { writes: false, mayShare: false, parameters: 0 }],
  ['select 1;', { writes: false }],
  ['select from t', { writes: false }],
  ['values (1), ($1)', { writes: false, parameters: 1 }],
  ['table leads', { writes: false }],
  ['select 1 union select 2', { writes: false }],
  ['select 1 into copy_of', { writes: true }],
  ['select * from t for update', { writes: true }],
  ['select * from (select * from t for share) x', { writes: true }],
  ['select id from t where a = $1 and b = $2 or c = $1', { parameters: 2 }],
  ['insert into t (a) values ($1)', { writes: true, mayShare: true, mayMeet: false, parameters: 1 }],
  ['insert into t (a) values ($1) returning id', { writes: true }],
  ['update t set a = 1', { writes: true, mayShare: true, mayMeet: true }],
  ['delete from t returning *', { writes: true }],
  ['merge into t using s on true when matched then delete', { writes: true, mayMeet: true }],
  ['with a as (select 1) select * from a', { writes: false }],
  ['with a as (delete from t returning *) select * from a', { writes: true }],
  ['with a as (select 1) insert into t select * from a', { writes: true, mayShare: true }],
  ["insert into t select set_config('a', $1, true)", { mayShare: false }],
  ['insert into t select pg_catalog.pg_advisory_lock(1)', { mayShare: false }],
  ['update t set a = PG_NOTIFY($1, $2)', { mayShare: false, parameters: 2 }],
  ["insert into t select dblink_exec('erp', $1)", { mayShare: false }],
  ["update t set a = dblink_send_query('erp', $1)", { mayShare: false }],
  ['delete from t where pg_terminate_backend(pid)', { mayShare: false }],
  ["insert into t select pg_logical_emit_message(false, 'a', $1)", { mayShare: false }],
  ["insert into t values ('pg_notify')", { mayShare: true }],
  ['insert into t values (1) on conflict do nothing', { mayMeet: false }],
  ['insert into t values (1) on conflict (a) do update set a = 1', { mayMeet: true }],
  ["insert into t values ('do update')", { mayMeet: false }],
  ['/* b */ with a as (insert into u values (1) returning b) insert into t select * from a', { mayMeet: false }],
  ['with a as (delete from u returning b) insert into t select * from a', { mayMeet: true }],
  ['insert into t select * from u for update', { mayMeet: true }],
  ['call p($1)', { writes: true, mayShare: false }],
  ['select PG_NOTIFY($1, $2)', { writes: true, mayShare: false, parameters: 2 }],
  ["select pg_catalog.pg_notify('a', name) from t", { writes: true }],
  ["select public.dblink_exec('erp', $1)", { writes: true }],
  ['select pg_cancel_backend(pid) from pg_stat_activity', { writes: true }],
  // What is gone with the session, or the transaction, is heard by nobody else.
  ["select set_config('a', $1, true), pg_advisory_xact_lock(1)", { writes: false }],
  ["select * from dblink('erp', 'select 1') as t (n int)", { writes: false }],
  ["select 'pg_notify'", { writes: false }],
  ['explain select 1', { writes: false }],
  ['explain analyze delete from t', { writes: true }],
  ['show all', { writes: false }],
  ['do $$ begin end $$', { writes: true }],
  ['create table t (a int)', { writes: true }],
])('%s is told for what it is', (sql, traits) => {
  expect(read(sql)).toMatchObject(traits)
})

test.each([
  ['select :a', 'select $1', ['a']],
  ['select :a, :b, :a', 'select $1, $2, $1', ['a', 'b']],
  ['select :a::int, :b ::text', 'select $1::int, $2 ::text', ['a', 'b']],
  ["select a::int, 'x:y', $$:a$$, E'\\':a', \"q:w\" -- :a\n, :b", null, ['b']],
  ['select /* :x /* :y */ */ :z', null, ['z']],
  ['select a[1:2], a[:n], a[m:n], b[1::int:n] from t', 'select a[1:2], a[:n], a[m:n], b[1::int:n] from t', []],
  ['select a[(:n)], a[1 + :m] from t', 'select a[($1)], a[1 + $2] from t', ['n', 'm']],
  ['select array[:a, :b], array[[:c], [:d]]', 'select array[$1, $2], array[[$3], [$4]]', ['a', 'b', 'c', 'd']],
  ['select f(a := :v, b => :w)', 'select f(a := $1, b => $2)', ['v', 'w']],
  ["select json_object('k':v, name:v, 'x': :w) from t", "select json_object('k':v, name:v, 'x': $1) from t", ['w']],
  ['select * from t where a=:_x1 and b in(:b)and c like :c escape :d', null, ['_x1', 'b', 'c', 'd']],
  [
    'select * from t where a between :from and :to limit :limit offset :offset',
    null,
    ['from', 'to', 'limit', 'offset'],
  ],
  ['select now() at time zone :zone, case when :x then :y else :z end', null, ['zone', 'x', 'y', 'z']],
  ['select -:a, @:b, a->:c, a ? :d from t', 'select -$1, @$2, a->$3, a ? $4 from t', ['a', 'b', 'c', 'd']],
  ['select :Nome, :nome', 'select $1, $2', ['Nome', 'nome']],
  ["select 'ação', :prénom, :b", "select 'ação', $1, $2", ['prénom', 'b']],
  ["select '👋' || :olá", "select '👋' || $1", ['olá']],
  [
    'insert into leads (uuid, name) values (:uuid, :name) on conflict do nothing',
    'insert into leads (uuid, name) values ($1, $2) on conflict do nothing',
    ['uuid', 'name'],
  ],
])('%s has the names it has', (sql, text, names) => {
  const statement = read(sql)
  expect(statement.names).toEqual(names)
  expect(statement.parameters).toBe(names.length)
  if (text !== null) expect(statement.text).toBe(text)
})

test('more than nine names have their own numbers, and positions behind them stay', () => {
  const names = Array.from({ length: 12 }, (_, index) => String.fromCodePoint(97 + index))
  const list = names.map((name) => `:${name}`).join(', ')
  expect(read(`select ${list}`).text).toBe(`select ${names.map((_, index) => `$${index + 1}`).join(', ')}`)
  expect(faultOf(`select ${list} from from`)).toBe(`syntax error at or near "from", at line 1, column 60`)
})

test('a colon that belongs to Postgres is no parameter, and what is wrong with it is told', () => {
  expect(faultOf('select :"quoted"')).toBe('syntax error at or near ":", at line 1, column 8')
  expect(faultOf("select :'quoted'")).toBe('syntax error at or near ":", at line 1, column 8')
  expect(faultOf('select : spaced')).toBe('syntax error at or near ":", at line 1, column 8')
})

const deep = {
  sums: `select 1${'+1'.repeat(15_000)}`,
  'queries within queries': `select ${'(select '.repeat(8_000)}1${')'.repeat(8_000)}`,
  cases: `select ${'case when a then '.repeat(3_000)}1${' end'.repeat(3_000)}`,
  parentheses: `select ${'('.repeat(40_000)}`,
}

test.each(Object.entries(deep))(
  '%s without end are a fault, and what comes next is read',
  async (_, sql) => {
    // As often as would break the grammar for good, were it not opened anew.
    for (let times = 0; times < 3; times += 1) {
      for (let more = 0; more < 15; more += 1) {
        expect(faultOf(sql)).toMatch(/^(nests too deep|cannot be read just now|memory exhausted)/)
        expect(read('insert into t values (:a)')).toMatchObject({ names: ['a'] })
      }
      await loadSql()
    }
    expect(faultOf('selec 1')).toBe('syntax error at or near "selec", at line 1, column 1')
  },
  60_000,
)

test('a long list of rows is as good as a short one', () => {
  expect(read(`insert into t values ${'(1, 2),'.repeat(12_000)}(1, 2)`)).toMatchObject({ writes: true })
  expect(faultOf(`select '${'a'.repeat(100_000)}'`)).toBe(
    'must have at most 100000 characters: data goes into parameters',
  )
}, 30_000)
