/** A scheduled row in the order in which they are moved: by when it was due, as text, and its id. */
export type Place = { at: string; id: string }

/**
 * Where a move of scheduled rows begins. Of many that are due, each move goes on behind the one before: from the lane's
 * first row on it would pass all that were moved already, as long as somebody's snapshot keeps them. What is due and
 * committed late lies behind, so now and then one begins at the first row all the same.
 */
export type MovePlace = {
  /** Null is the lane's first row. */
  from: () => Place | null
  /** A move from there brought as many as it might, up to this row, and took Postgres so many milliseconds. */
  came: (from: Place | null, to: Place, ms: number) => void
  /** The next one begins at the first row: fewer were left than it might bring. */
  forget: () => void
}

/** It goes on for so many times as long as the move took that began at the first row. */
const onPart = 20

/** And so long at most, milliseconds: Postgres' clock may be set forward while it moves. */
const longestMs = 60_000

export const createMovePlace = (now: () => number = () => performance.now()): MovePlace => {
  let place: Place | null = null
  let untilMs = Number.NEGATIVE_INFINITY
  return {
    from: () => (now() < untilMs ? place : null),
    came: (from, to, ms) => {
      if (from === null) untilMs = now() + Math.min(onPart * ms, longestMs)
      place = to
    },
    forget: () => {
      place = null
    },
  }
}
