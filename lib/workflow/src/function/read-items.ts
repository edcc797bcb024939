import { setImmediate as turn } from 'node:timers/promises'
import type { Log } from '@esteira/service'

/** So many items in a row may come without a wait before others, and the clock that ends the attempt, have their turn. */
const turnAfter = 1_000

/**
 * Hands on what an iterable gives, one after the other, and resolves to what a generator returned at its end. When
 * the signal is aborted meanwhile it is told to end, so that it closes what it has open.
 *
 * @throws the signal's reason then, and whatever the iterable or `give` throws.
 */
export const readItems = async (
  items: Items,
  give: (value: unknown) => Promise<void> | null,
  signal: AbortSignal,
  log: Log,
): Promise<unknown> => {
  const iterator = iteratorOf(items)
  let given = 0
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
        given += 1
        if (given % turnAfter === 0) await turn()
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

/** What a function may give its items by, one after the other. */
type Items = AsyncIterable<unknown> | Iterable<unknown>

/** An array is a result as a whole; so are bytes, and what says by itself how it is stored. */
export const isIterable = (value: unknown): value is Items => {
  if (typeof value !== 'object' || value === null) return false
  if (Symbol.asyncIterator in value) return true
  return Symbol.iterator in value && !Array.isArray(value) && !ArrayBuffer.isView(value) && !('toJSON' in value)
}

const iteratorOf = (items: Items): AsyncIterator<unknown> =>
  Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : oneByOne(items)

/** Promises among them are waited for, and it ends as they do. */
async function* oneByOne(items: Iterable<unknown>): AsyncGenerator<unknown, unknown> {
  return yield* items
}
