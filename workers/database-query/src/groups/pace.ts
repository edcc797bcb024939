/** How many jobs' runs of one statement go into a transaction, and how many such transactions there are at a time. */
export type Pace = {
  most: () => number
  atOnce: () => number
  /** Runs in one transaction took so long, milliseconds, with the way to the server and without the commit. */
  took: (ms: number, runs: number) => void
  /** Together they stood in each other's way: for a while each has a transaction of its own. */
  goAlone: () => void
}

/** Runs of a transaction, at most: with more of them the commit is no smaller a share of the time. */
const mostRuns = 200

/** What a run has locked the others of its transaction lock too until they are over: milliseconds for all of them. */
const groupMs = 100

/** So long are runs kept apart that stood in each other's way, milliseconds. */
const aloneMs = 60_000

/**
 * Follows how long the runs of a statement take. Quick ones share a transaction, one transaction at a time, so that none of
 * them waits for a lock of another; slow ones, and the first, have one each, as many at a time as there are `sessions`.
 */
export const createPace = (sessions: number, now: () => number = () => performance.now()): Pace => {
  let msEach = Infinity
  let aloneUntilMs = -Infinity
  const most = (): number => (now() < aloneUntilMs ? 1 : Math.min(mostRuns, Math.max(1, Math.floor(groupMs / msEach))))
  return {
    most,
    atOnce: () => (most() === 1 ? sessions : 1),
    took: (ms, runs) => {
      msEach = ms / runs
    },
    goAlone: () => {
      aloneUntilMs = now() + aloneMs
    },
  }
}
