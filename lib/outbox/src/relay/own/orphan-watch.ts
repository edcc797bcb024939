/**
 * When to look into lanes that nobody owns. A look passes every deleted row of the lane that somebody's snapshot keeps, on
 * the session by which all lanes are read: one that took long and found nothing is not taken again for a while.
 */
export type OrphanWatch = {
  /** The lanes that are not to be looked into now. */
  resting: () => number[]
  /** A look into the lane found nothing, and took so many milliseconds. */
  foundNone: (lane: number, ms: number) => void
  /** The lane has an owner, who may leave rows in it. */
  foundOwned: (lane: number) => void
}

/** Each rests so many times as long as it took, times their number: together they have a twentieth of the session. */
const restPart = 20

/** No lane rests longer, milliseconds: a look may have been slow by chance, and rows that come into it wait as long. */
const longestRestMs = 60_000

export const createOrphanWatch = (now: () => number = () => performance.now()): OrphanWatch => {
  const looks = new Map<number, { ms: number; endedAtMs: number }>()
  return {
    resting: () => {
      const times = restPart * looks.size
      // What comes of those that have rested is told anew, if they have no owner by then.
      for (const [lane, { ms, endedAtMs }] of looks) {
        if (endedAtMs + Math.min(times * ms, longestRestMs) <= now()) looks.delete(lane)
      }
      return [...looks.keys()]
    },
    foundNone: (lane, ms) => void looks.set(lane, { ms, endedAtMs: now() }),
    foundOwned: (lane) => void looks.delete(lane),
  }
}
