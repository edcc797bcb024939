/** A scheduled row in the order in which they are moved: by when it was due, as text, and its id. */
export type ScheduledRow = { at: string; id: string }

/** What a move that goes on behind a row has to leave where it is, to keep the rows of a key in order. */
export type LeftBehind = {
  /** Rows of the lane with a higher id may lie before the place, and then their keys wait. */
  aboveId: string
  /** The hashes of keys of which some row may lie before the place. */
  keys: string[]
}

/** Where a move goes on: behind this row, without what is left. */
export type Place = ScheduledRow & LeftBehind

/**
 * Where a move of scheduled rows begins. Of many that are due, each move goes on behind the one before: from the lane's
 * first row on it would pass all that were moved already, as long as somebody's snapshot keeps them. What is due and
 * committed late lies behind, so now and then one begins at the first row all the same.
 */
export type MovePlace = {
  /** Null is the lane's first row. */
  from: () => Place | null
  /** Whether the move before brought as many as it might, so that another one is to come. */
  wasFull: () => boolean
  /**
   * A move from there brought as many as it might, up to this place, and took Postgres so many milliseconds. Null is one
   * from the first row that cannot be gone on behind.
   */
  came: (from: Place | null, to: Place | null, ms: number) => void
  /** The next one begins at the first row: fewer were left than it might bring. */
  forget: () => void
  /** Whether the next one is to wait: the one before passed many rows that could not be moved, and brought none. */
  rests: () => boolean
  /** It did so, and took Postgres so many milliseconds. */
  passedAll: (ms: number) => void
}

/** It goes on for so many times as long as the move took that began at the first row. */
const onPart = 20

/** And so long at most, milliseconds: Postgres' clock may be set forward while it moves. */
const longestMs = 60_000

/**
 * So many times as long as it took a move rests that passed many rows which are locked: a fifth of the session is theirs at
 * most. Rows that are due behind them wait as long.
 */
const restPart = 4

/** One that took no longer than this is no trouble to others, milliseconds. */
const longMs = 100

/** So long at most, milliseconds. */
const longestRestMs = 10_000

export const createMovePlace = (now: () => number = () => performance.now()): MovePlace => {
  let place: Place | null = null
  let full = false
  let untilMs = Number.NEGATIVE_INFINITY
  let restsUntilMs = Number.NEGATIVE_INFINITY
  return {
    from: () => (now() < untilMs ? place : null),
    wasFull: () => full,
    came: (from, to, ms) => {
      if (from === null) untilMs = now() + Math.min(onPart * ms, longestMs)
      place = to
      full = true
    },
    forget: () => {
      place = null
      full = false
    },
    rests: () => now() < restsUntilMs,
    passedAll: (ms) => {
      if (ms > longMs) restsUntilMs = now() + Math.min(restPart * ms, longestRestMs)
    },
  }
}
