import { expect, test } from 'vitest'
import { createBell } from './bell.ts'

const never = new AbortController().signal
const longMs = 60_000

test('a ring ends the wait', async () => {
  const bell = createBell()
  const waited = bell.wait(longMs, never)
  bell.ring()
  await expect(waited).resolves.toBe(true)
})

test('a ring that comes while nobody waits ends the next wait at once, and only that one', async () => {
  const bell = createBell()
  bell.ring()
  bell.ring()
  await bell.wait(longMs, never)
  const again = bell.wait(longMs, never)
  await expect(Promise.race([again, Promise.resolve('still waiting')])).resolves.toBe('still waiting')
  bell.ring()
  await again
})

test('the time that passes ends the wait', async () => {
  await expect(createBell().wait(1, never)).resolves.toBe(false)
})

test('a signal ends the wait, whether it was aborted before or comes later', async () => {
  const bell = createBell()
  const stopping = new AbortController()
  const waited = bell.wait(longMs, stopping.signal)
  stopping.abort()
  await waited
  await expect(bell.wait(longMs, stopping.signal)).resolves.toBe(false)
})
