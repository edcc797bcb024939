/** So many places, taken in the order of asking. */
export type Places = {
  /**
   * Waits for a place and takes it, until what it returns is called, once.
   *
   * @throws the signal's reason once it is aborted.
   */
  take: (signal: AbortSignal) => Promise<() => void>
}

export const createPlaces = (count: number): Places => {
  let free = count
  const waiting = new Set<() => void>()

  const leave = () => {
    const [next] = waiting
    if (next === undefined) {
      free += 1
      return
    }
    // The place passes on: nobody who comes now is before those who wait.
    waiting.delete(next)
    next()
  }

  return {
    take: async (signal) => {
      signal.throwIfAborted()
      if (free > 0) {
        free -= 1
        return leave
      }
      const place = Promise.withResolvers<void>()
      const abort = () => {
        // Who was called just now has the place, and leaves it when the call sees the signal.
        if (waiting.delete(place.resolve)) place.reject(signal.reason)
      }
      waiting.add(place.resolve)
      signal.addEventListener('abort', abort, { once: true })
      try {
        await place.promise
        return leave
      } finally {
        signal.removeEventListener('abort', abort)
      }
    },
  }
}
