/**
 * When to search a key lane for rows without a key. Nothing here writes them, and no index finds them: a search passes all
 * that waits in the lane. It is due at first, and again a minute after one that found none.
 */
export type StrayWatch = { isDue: () => boolean; foundNone: () => void }

/** How long a lane in which there was none is believed to have none, milliseconds. */
const beliefMs = 60_000

export const createStrayWatch = (now: () => number = () => performance.now()): StrayWatch => {
  let dueAtMs = now()
  return {
    isDue: () => now() >= dueAtMs,
    foundNone: () => {
      dueAtMs = now() + beliefMs
    },
  }
}
