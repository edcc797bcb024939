/**
 * When to look again below the floor of a lane, and from where on. Nothing should be there; nothing rests for long on the
 * floor's being right all the same.
 *
 * A look comes down a part of the way only, and the next one goes on from there after a rest: as long as somebody's
 * snapshot keeps them, it has to pass every row that was ever published since.
 */
export type BelowWatch = {
  /** All from here down is to be looked at now; null while a look is not due, or there is nothing below the floor. */
  from: (floor: bigint) => bigint | null
  /** Since when, or from when on, a look is due, by the monotonic clock. */
  dueAtMs: () => number
  /** A look came down to this id, and took Postgres so many milliseconds. */
  came: (to: bigint, ms: number) => void
}

/** How long the floor is believed from the end of one look at all below it to the beginning of the next, milliseconds. */
const beliefMs = 60_000

/** A look rests so many times as long as it took: it has a twentieth of the session. */
const restPart = 20

export const createBelowWatch = (now: () => number = () => performance.now()): BelowWatch => {
  /** Where a look that is on goes on; null between two. */
  let place: bigint | null = null
  let dueAtMs = now() + beliefMs
  return {
    from: (floor) => {
      if (now() < dueAtMs) return null
      const begin = place === null || floor < place ? floor : place
      return begin === 0n ? null : begin
    },
    dueAtMs: () => dueAtMs,
    came: (to, ms) => {
      place = to === 0n ? null : to
      // Postgres' clock may be set forward while it looks.
      dueAtMs = now() + (place === null ? beliefMs : Math.min(restPart * ms, beliefMs))
    },
  }
}
