import { expect, test } from 'vitest'
import { follow } from './follow.ts'

test('a controller is aborted with the first of the signals that it follows, and keeps that reason', () => {
  const [own, first, second] = [new AbortController(), new AbortController(), new AbortController()]
  follow(own, [first.signal, second.signal])
  expect(own.signal.aborted).toBe(false)
  second.abort('second')
  first.abort('first')
  expect(own.signal).toMatchObject({ aborted: true, reason: 'second' })
})

test('a signal that was aborted before is followed at once', () => {
  const own = new AbortController()
  follow(own, [AbortSignal.abort('before')])
  expect(own.signal).toMatchObject({ aborted: true, reason: 'before' })
})

test('a signal that is left is not followed any more', () => {
  const [own, other] = [new AbortController(), new AbortController()]
  follow(own, [other.signal])()
  other.abort()
  expect(own.signal.aborted).toBe(false)
})
