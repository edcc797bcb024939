/** Doubles from the first to the cap, milliseconds. */
export type Backoff = { firstMs: number; capMs: number }

/** For what is tried again by the relay as a whole: a database or a broker that is not there. */
export const reconnectBackoff: Backoff = { firstMs: 250, capMs: 10_000 }

/**
 * For one row that the broker refused, unless given. The cap is what a queue that was just declared waits for its
 * messages at most.
 */
export const refusedBackoff: Backoff = { firstMs: 1_000, capMs: 60_000 }

/**
 * How long to wait after failure number `attempt`, counted from 1: it doubles up to the cap, and the upper half of it
 * is left to chance, so that what failed together does not come back together.
 */
export const backoffMs = (attempt: number, { firstMs, capMs }: Backoff, random: () => number = Math.random): number => {
  const fullMs = Math.min(capMs, firstMs * 2 ** (attempt - 1))
  return Math.round(fullMs * (0.5 + 0.5 * random()))
}

/** The time more or less a fifth, so that many relays do not look at the same moment. */
export const spreadMs = (ms: number, random: () => number = Math.random): number =>
  Math.round(ms * (0.8 + 0.4 * random()))
