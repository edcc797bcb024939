const firstMs = 250

/** A worker that is away longer than this from a broker that is back leaves its queues standing. */
const capMs = 5_000

/**
 * How long to wait before try number `attempt`, counted from 1, milliseconds: it doubles up to the cap, and the upper
 * half is left to chance, so that workers that lost a broker together do not come back together.
 */
export const backoffMs = (attempt: number, random: () => number = Math.random): number =>
  Math.round(Math.min(capMs, firstMs * 2 ** (attempt - 1)) * (0.5 + 0.5 * random()))
