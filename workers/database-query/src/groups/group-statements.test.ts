import { expect, test } from 'vitest'
import { mayMeet } from './group-statements.ts'

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
