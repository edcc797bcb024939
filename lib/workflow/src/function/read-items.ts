import type { Log } from '@esteira/service'

/**
 * Hands on what an async iterable gives, one after the other, and resolves to what a generator returned at its end. When
 * the signal is aborted meanwhile it is told to end, so that it closes what it has open.
 *
 * @throws the signal's reason then, and whatever the iterable or `give` throws.
 */
export const readItems = async (
  items: AsyncIterable<unknown>,
  give: (value: unknown) => Promise<void> | null,
  signal: AbortSignal,
  log: Log,
): Promise<unknown> => {
  const iterator = items[Symbol.asyncIterator]()
  const end = () => void endEarly(iterator, log)
  if (signal.aborted) end()
  signal.addEventListener('abort', end, { once: true })
  try {
    for (;;) {
      const next = await iterator.next()
      signal.throwIfAborted()
      if (next.done === true) return next.value
      try {
        const taken = give(next.value)
        if (taken !== null) await taken
      } catch (error) {
        if (!signal.aborted) end()
        throw error
      }
      signal.throwIfAborted()
    }
  } finally {
    signal.removeEventListener('abort', end)
  }
}

/** A generator hears of it where it yields next. Nobody waits for that: its attempt is over. */
const endEarly = async (iterator: AsyncIterator<unknown>, log: Log): Promise<void> => {
  try {
    await iterator.return?.()
  } catch (error) {
    log.warn({ event: 'function.end-failed', err: error })
  }
}

export const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value
