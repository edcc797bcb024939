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

/** Of a statement's quick transactions so many may be under way at a time, where they do not wait for each other's rows. */
const mostSideBySide = 2

/** What a pace depends on. */
type PaceOptions = {
  /** Sessions that the statement may have. */
  sessions: number
  /** Whether its runs write rows that others of them may have locked. */
  mayMeet: boolean
  now?: () => number
}

/**
 * Follows how long the runs of a statement take. Quick ones share a transaction: one at a time where they may wait for each
 * other's locks, else one more, so that the server need not wait for us, nor we for it. Slow ones, and the first, have one
 * each, as many at a time as there are `sessions`.
 */
export const createPace = ({ sessions, mayMeet, now = () => performance.now() }: PaceOptions): Pace => {
  const sideBySide = mayMeet ? 1 : Math.min(mostSideBySide, sessions)
  let msEach = Infinity
  let aloneUntilMs = -Infinity
  const most = (): number => (now() < aloneUntilMs ? 1 : Math.min(mostRuns, Math.max(1, Math.floor(groupMs / msEach))))
  return {
    most,
    atOnce: () => (most() === 1 ? sessions : sideBySide),
    took: (ms, runs) => {
      msEach = ms / runs
    },
    goAlone: () => {
      aloneUntilMs = now() + aloneMs
    },
  }
}
