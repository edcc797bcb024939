/**
 * How far a lane was read. Ids are drawn before their transactions commit, so a row may appear below one that was read
 * already; where that can still happen is known from the xids of Postgres, which writers draw before their ids.
 */
export type Pointers = {
  /** The last id that was read: the fast path begins here. */
  cursor: () => bigint
  /**
   * Where to read from: no row can appear at or below this id any more, and every row that did is gone. Every minute it
   * is zero once, so that nothing rests for long on its being right.
   */
  floor: () => bigint
  /** The floor is zero: rows below it that were passed over are to be read. */
  startOver: () => void
  /** How often that was. */
  restarts: () => number
  /** A read brought rows up to this id, or passed them over. */
  sawRow: (id: bigint) => void
  /** A statement told the oldest xid that was in progress when it began (`pg_snapshot_xmin`). */
  sawXmin: (xmin: bigint) => void
  /** A statement drew an xid of its own. `cursor` is what the cursor was when that statement was sent. */
  drewXid: (xid: bigint, cursor: bigint) => void
  /**
   * After the last `sawXmin` all rows above the floor were read, or those up to `last` (null: all); `lowest` is the first
   * one that may still be there.
   */
  readAll: (last: bigint | null, lowest: bigint | null) => void
}

/** How long the floor is believed, milliseconds. */
const beliefMs = 60_000

/** Begins at zero, before the first id of a lane. */
export const createPointers = (now: () => number = () => performance.now()): Pointers => {
  let distrustedAtMs = now()
  let cursor = 0n
  let floor = 0n
  let restarts = 0
  /** Ids up to `id` are decided once every transaction older than `mark` has ended. */
  let candidate: { id: bigint; mark: bigint } | null = null
  /** Every transaction that drew an id up to this one has ended. */
  let decided = 0n
  return {
    cursor: () => cursor,
    floor: () => {
      const nowMs = now()
      if (nowMs - distrustedAtMs > beliefMs) {
        distrustedAtMs = nowMs
        floor = 0n
      }
      return floor
    },
    startOver: () => {
      floor = 0n
      restarts += 1
    },
    restarts: () => restarts,
    sawRow: (id) => {
      if (id > cursor) cursor = id
    },
    sawXmin: (xmin) => {
      if (candidate === null || xmin <= candidate.mark) return
      decided = candidate.id
      candidate = null
    },
    // The mark is an xid of our own. A snapshot's xmax would be none: it is the latest ended xid plus one, and a
    // transaction above it may have drawn its id before the read.
    drewXid: (xid, sent) => {
      if (sent > decided) candidate ??= { id: sent, mark: xid }
    },
    readAll: (last, lowest) => {
      const read = last === null || last > decided ? decided : last
      const reached = lowest === null || lowest > read ? read : lowest - 1n
      if (reached > floor) floor = reached
    },
  }
}
