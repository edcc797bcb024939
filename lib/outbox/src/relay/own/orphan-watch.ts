/**
 * When to look into lanes that nobody owns. A look passes every deleted row of the lane that somebody's snapshot keeps, on
 * the session by which all lanes are read: one that took long and found nothing is not taken again for a while.
 */
export type OrphanWatch = {
  /** The lanes that are not to be looked into now. */
  resting: () => number[]
  /** A look into the lane found nothing, and took so many milliseconds. */
  foundNone: (lane: number, ms: number) => void
}

/** All that take long rest so many times as long as all of them took: together they have a twentieth of the session. */
const restPart = 20

export const createOrphanWatch = (now: () => number = () => performance.now()): OrphanWatch => {
  const looks = new Map<number, { ms: number; endedAtMs: number }>()
  return {
    resting: () => {
      const restMs = restPart * looks.values().reduce((sum, { ms }) => sum + ms, 0)
      // What comes of those that have rested is told anew, if they have no owner by then.
      for (const [lane, { endedAtMs }] of looks) if (endedAtMs + restMs <= now()) looks.delete(lane)
      return [...looks.keys()]
    },
    foundNone: (lane, ms) => void looks.set(lane, { ms, endedAtMs: now() }),
  }
}
