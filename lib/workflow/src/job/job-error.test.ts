import { expect, test } from 'vitest'
import { thrownError } from './job-error.ts'

test('an error of some length is kept whole, and a longer one is cut and says so', () => {
  const long = 'x'.repeat(10_000)
  expect(thrownError('code', long).message).toBe(long)
  expect(thrownError('code', `${long}${'y'.repeat(7)}`).message).toBe(`${long}... (7 more characters)`)
})

test('what Postgres cannot store is replaced, also where the cut parts a pair', () => {
  expect(thrownError('co\0de', 'odd \ud800')).toEqual({ code: 'co\uFFFDde', message: 'odd \uFFFD' })
  expect(thrownError('code', `${'x'.repeat(9_999)}😀`).message).toBe(
    `${'x'.repeat(9_999)}\uFFFD... (1 more characters)`,
  )
})
