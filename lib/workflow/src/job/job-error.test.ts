import { expect, test } from 'vitest'
import { jobError } from './job-error.ts'

test('an error of some length is kept whole, and a longer one is cut and says so', () => {
  const long = 'x'.repeat(10_000)
  expect(jobError('code', long).message).toBe(long)
  expect(jobError('code', `${long}${'y'.repeat(7)}`).message).toBe(`${long}... (7 more characters)`)
})

test('what Postgres cannot store is replaced, also where the cut parts a pair', () => {
  expect(jobError('co\0de', 'odd \ud800')).toEqual({ code: 'co\uFFFDde', message: 'odd \uFFFD' })
  expect(jobError('code', `${'x'.repeat(9_999)}😀`).message).toBe(`${'x'.repeat(9_999)}\uFFFD... (1 more characters)`)
})
