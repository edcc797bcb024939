import { setTimeout as delay } from 'node:timers/promises'
import { inspect } from 'node:util'

type Falsy = false | null | undefined | 0 | ''

export type WaitOptions = {
  deadlineMs?: number
  /** Between what a look gave and the next one; 20 unless given. */
  pauseMs?: number
  /** What is waited for, or a look at the state when the deadline has passed. */
  describe?: string | (() => unknown)
}

/**
 * Looks again and again until the condition gives something truthy, and returns that. A condition that throws is not
 * met yet.
 *
 * @throws at the deadline, with the last value or error that was seen.
 */
export const waitFor = async <T>(
  condition: () => T | Falsy | Promise<T | Falsy>,
  { deadlineMs = 10_000, pauseMs = 20, describe = 'a condition' }: WaitOptions = {},
): Promise<T> => {
  const deadline = performance.now() + deadlineMs
  for (;;) {
    let last: unknown
    try {
      const value = await condition()
      if (value) return value
      last = value
    } catch (error) {
      last = error
    }
    if (performance.now() > deadline) {
      const what = typeof describe === 'string' ? describe : inspect(await describe(), { depth: 5 })
      throw new Error(`waited ${deadlineMs} ms in vain for ${what}; last seen: ${inspect(last)}`, { cause: last })
    }
    await delay(pauseMs)
  }
}
