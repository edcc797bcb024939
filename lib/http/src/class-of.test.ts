import { expect, test } from 'vitest'
import { classOf } from './class-of.ts'

test.each([
  ['ok', [200, 201, 204]],
  ['redirect', [301, 302, 304, 308]],
  ['unauthorized', [401]],
  ['throttled', [429]],
  ['temporary', [408, 425, 500, 502, 503, 504, 599]],
  ['final', [400, 403, 404, 410, 422]],
])('%s are the statuses %j', (expected, statuses) => {
  for (const status of statuses) expect(classOf(answered(status))).toBe(expected)
})

test('a call that got no answer, or none that is text, may work later, and one whose answer is too large, or that is no HTTP, will not', () => {
  expect(classOf({ kind: 'timeout', deadlineMs: 1 })).toBe('temporary')
  expect(classOf({ kind: 'unreachable', cause: new Error('reset') })).toBe('temporary')
  expect(classOf({ kind: 'undecodable', status: 200, bytes: 1, charset: 'utf-8', encoding: null })).toBe('temporary')
  expect(classOf({ kind: 'too_large', maxBytes: 1 })).toBe('final')
  expect(classOf({ kind: 'unsendable', reason: 'invalid header' })).toBe('final')
})

const answered = (status: number) => ({ kind: 'answered', status, headers: () => undefined, body: '' }) as const
