/**
 * Paces what a pass through a key lane does beside reading. A lane with one busy key has a pass a message, and what is due
 * or dead there can wait for a quarter of a second; one that was idle waits for nothing.
 */
export type Pace = { isDue: () => boolean; idled: () => void }

const paceMs = 250

export const createPace = (now: () => number = () => performance.now()): Pace => {
  let dueAtMs = Number.NEGATIVE_INFINITY
  return {
    isDue: () => {
      if (now() < dueAtMs) return false
      dueAtMs = now() + paceMs
      return true
    },
    idled: () => {
      dueAtMs = Number.NEGATIVE_INFINITY
    },
  }
}
