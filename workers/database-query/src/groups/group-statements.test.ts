import { expect, test } from 'vitest'
import { mayShare } from './group-statements.ts'

test.each([
  ['insert into lead values ($1)', true],
  ['  UPDATE lead set seen = now()', true],
  ['delete from lead', true],
  ['merge into lead using ...', true],
  ['select touch($1)', false],
  ['with fresh as (insert into lead values ($1)) select 1', false],
  ['create temporary table mine (id int)', false],
  [`set search_path = 'crm'`, false],
  ['do $$ begin end $$', false],
  [`insert into lead select set_config('search_path', $1, false)`, false],
  ['insert into lead select 1 from pg_advisory_lock($1)', false],
  ['insert into lead select 1 from PG_TRY_ADVISORY_XACT_LOCK($1)', false],
  [`update lead set id = 1 where pg_notify('a', 'b') is null`, false],
])('runs of one statement may share a transaction: %s, %s', (sql, expected) => {
  expect(mayShare(sql)).toBe(expected)
})
