/** What a loop tells of turns that failed; `failures` counts those in a row. */
export type LoopEvent =
  | { kind: 'loop.failed'; loop: string; failures: number; error: unknown }
  | { kind: 'loop.recovered'; loop: string; failures: number }

export type Loop = {
  /** Begins the next turn at once; one that is under way is followed by another. */
  wake: () => void
  /** Resolves when the turn that is under way has ended; there is none after it. */
  stop: () => Promise<void>
}

const longestPauseMs = 10_000

/**
 * Repeats a turn until it is stopped. A turn resolves to how many milliseconds to wait for the next; turns never
 * overlap. One that throws is tried again after a pause that doubles up to 10 s and is spread at random.
 */
export const startLoop = (loop: string, turn: () => Promise<number>, observe: (event: LoopEvent) => void): Loop => {
  const stopping = new AbortController()
  let failures = 0
  let bell = Promise.withResolvers<void>()

  const runOnce = async (): Promise<number> => {
    try {
      const pauseMs = await turn()
      if (failures > 0) observe({ kind: 'loop.recovered', loop, failures })
      failures = 0
      return pauseMs
    } catch (error) {
      failures += 1
      observe({ kind: 'loop.failed', loop, failures, error })
      return Math.min(500 * 2 ** Math.min(failures, 10), longestPauseMs) * (0.5 + Math.random() / 2)
    }
  }

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      // A ring from here on, while the turn is still reading, leads to one more turn.
      bell = Promise.withResolvers()
      const pauseMs = await runOnce()
      if (!stopping.signal.aborted) await rungOr(bell.promise, pauseMs)
    }
  }

  const running = run()
  return {
    wake: () => bell.resolve(),
    stop: () => {
      stopping.abort()
      bell.resolve()
      return running
    },
  }
}

const rungOr = async (rung: Promise<void>, ms: number): Promise<void> => {
  const late = Promise.withResolvers<void>()
  const timer = setTimeout(late.resolve, ms)
  await Promise.race([rung, late.promise])
  clearTimeout(timer)
}
