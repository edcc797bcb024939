/**
 * What the loop waits at. A ring is only a hint that there may be something to do; one that comes while nobody waits,
 * because a turn is on, is kept, and the next wait ends at once.
 */
export type Bell = {
  ring: () => void
  /** Waits for a ring, for the time to pass or for the signal to be aborted, and says whether it rang. */
  wait: (ms: number, signal: AbortSignal) => Promise<boolean>
}

export const createBell = (): Bell => {
  let rung = false
  let wake: (() => void) | null = null
  return {
    ring: () => {
      rung = true
      wake?.()
    },
    wait: async (ms, signal) => {
      if (!rung && !signal.aborted) {
        const woken = Promise.withResolvers<void>()
        wake = () => woken.resolve()
        const timer = setTimeout(wake, ms)
        signal.addEventListener('abort', wake, { once: true })
        await woken.promise
        clearTimeout(timer)
        signal.removeEventListener('abort', wake)
        wake = null
      }
      const heard = rung
      rung = false
      return heard
    },
  }
}
