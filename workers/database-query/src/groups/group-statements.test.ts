import { expect, test } from 'vitest'
import { mayMeet, mayShare } from './group-statements.ts'

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

test.each([
  ['insert into lead values ($1)', false],
  ['  INSERT into lead values ($1) returning id', false],
  ['insert into lead values ($1) on conflict do nothing', false],
  ['insert into lead values ($1) on conflict (id) DO  UPDATE set seen = now()', true],
  ['update lead set seen = now()', true],
  ['merge into lead using ...', true],
])('runs of one statement may wait for each other’s rows: %s, %s', (sql, expected) => {
  expect(mayMeet(sql)).toBe(expected)
})
