import { expect, test } from 'vitest'
import { answerOf } from './call.ts'

const status = (reason: string, message: string): string => JSON.stringify({ kind: 'Status', reason, message })

test('a refusal has the word and the sentence of the API server', () => {
  const words = 'cronjobs.batch is forbidden: exceeded quota: count'
  expect(answerOf(403, status('Forbidden', words))).toEqual({ kind: 'refused', code: 'Forbidden', words })
  expect(answerOf(422, status('Invalid', 'no'))).toEqual({ kind: 'refused', code: 'Invalid', words: 'no' })
  expect(answerOf(500, status('InternalError', 'failed calling webhook'))).toMatchObject({ code: 'InternalError' })
})

test('404 and 410 are answers of their own', () => {
  expect(answerOf(404, status('NotFound', 'no such'))).toEqual({ kind: 'missing', words: 'no such' })
  expect(answerOf(410, status('Expired', 'too old'))).toEqual({ kind: 'expired', words: 'too old' })
})

test.each([
  [429, '7', 7_000],
  [429, undefined, 1_000],
  [429, '100000', 60_000],
  [429, 'soon', 1_000],
  [503, '2', 2_000],
  [504, undefined, 1_000],
])('%i with Retry-After %s is to be tried again after %i ms', (code, retryAfter, afterMs) => {
  expect(answerOf(code, status('TooManyRequests', 'slow'), retryAfter)).toEqual({
    kind: 'later',
    words: 'slow',
    afterMs,
  })
})

test('what a proxy in between says is not taken for the words of the API server', () => {
  expect(answerOf(400, '<html>bad</html>')).toEqual({
    kind: 'refused',
    code: '400',
    words: 'the API server answered 400',
  })
  expect(answerOf(400, 'null')).toMatchObject({ words: 'the API server answered 400' })
})

test('a sentence without end is cut', () => {
  expect(answerOf(422, status('Invalid', 'x'.repeat(100_000))).words).toHaveLength(1_000)
})
