import { expect, test } from 'vitest'
import { modeOf } from './database-query.ts'

test.each([
  ['select 1', 'query'],
  ['  VALUES (1)', 'query'],
  ['table lead', 'query'],
  ['-- all of them\n/* with\nlines */ (select 1) union (select 2)', 'query'],
  ['with recent as (select 1) select * from recent', 'query'],
  ['with gone as (delete from lead returning id) select id from gone', 'execute'],
  ['insert into lead select 1', 'execute'],
  ['selection', 'execute'],
  ['do $$ begin end $$', 'execute'],
  ['-- nothing', 'execute'],
  ['', 'execute'],
])('by its words a statement reads or may write: %s', (sql, mode) => {
  expect(modeOf(sql)).toBe(mode)
})
