/** The time that something may take, not counting what it waits for others. */
export type TimeBudget = {
  /** Stops the clock until the wait is over, whatever comes of it. */
  pauseFor: <T>(wait: Promise<T>) => Promise<T>
  /** Nothing is over any more. */
  close: () => void
}

/**
 * Begins the time. `onSpent` is called when `ms` of it are used, or `mostMs` have passed in all, waits included, and
 * hears which of the two it was.
 */
export const openTimeBudget = (
  { ms, mostMs = Infinity }: { ms: number; mostMs?: number },
  onSpent: (limit: 'used' | 'passed') => void,
): TimeBudget => {
  const begunMs = performance.now()
  let leftMs = ms
  let runsSinceMs = begunMs
  let waits = 0
  let isClosed = false
  let timer: NodeJS.Timeout | undefined

  const setTimer = (nowMs: number): void => {
    clearTimeout(timer)
    const untilPassedMs = mostMs - (nowMs - begunMs)
    const limit = waits > 0 || untilPassedMs < leftMs ? 'passed' : 'used'
    const untilSpentMs = limit === 'used' ? leftMs : untilPassedMs
    // No timer of Node waits for ever.
    timer = untilSpentMs === Infinity ? undefined : setTimeout(onSpent, untilSpentMs, limit)
  }
  const pause = (): void => {
    waits += 1
    if (waits > 1 || isClosed) return
    const nowMs = performance.now()
    leftMs -= nowMs - runsSinceMs
    setTimer(nowMs)
  }
  const resume = (): void => {
    waits -= 1
    if (waits > 0 || isClosed) return
    runsSinceMs = performance.now()
    setTimer(runsSinceMs)
  }

  setTimer(begunMs)
  return {
    pauseFor: async (wait) => {
      pause()
      try {
        return await wait
      } finally {
        resume()
      }
    },
    close: () => {
      isClosed = true
      clearTimeout(timer)
    },
  }
}
