/**
 * How far a lane was read. Ids are drawn before their transactions commit, so a row may appear below one that was read
 * already; where that can still happen is known from the xids of Postgres, which writers draw before their ids.
 */
export type Pointers = {
  /** The last id that was read: the fast path begins here. */
  cursor: () => bigint
  /**
   * No row can appear at or below this id any more, and every row that did is gone, is read again by its id, or was passed
   * over for a closed destination.
   */
  floor: () => bigint
  /** A read of all above the floor is about to be sent; `lowest` is the first row on its way, which it leaves out. */
  startRead: (lowest: bigint | null) => FloorRead
  /** The floor is no higher than this: rows above it that were passed over are to be read. */
  goBack: (to: bigint) => void
  /** Whether reads from the floor may have any number of deleted rows to pass: the first one, and where it went back. */
  isFarBack: () => boolean
  /** Whether one xid that is in progress has kept the floor from rising for a while. */
  isHeldUp: () => boolean
  /** A read brought rows up to this id, or passed them over. */
  sawRow: (id: bigint) => void
  /**
   * A statement told that every transaction with a lower xid had ended when it began (`pg_snapshot_xmin`), or had ended or
   * brought nothing yet (the horizon of a `WriterWatch`).
   */
  sawEnded: (below: bigint) => void
  /** A statement drew an xid of its own. `cursor` is what the cursor was when that statement was sent. */
  drewXid: (xid: bigint, cursor: bigint) => void
}

/** A read on its way. What it may lift the floor to was settled when it was sent: since then it sees nothing. */
export type FloorRead = {
  /** Where it begins. */
  floor: bigint
  /** Whether the floor was taken back meanwhile. Rows that this read passed over are to be read then. */
  isOutdated: () => boolean
  /**
   * It was answered, and brought or passed over all rows above the floor, or those up to `last` (null: all); `lowest` is
   * the first one that is on its way now. Lifts the floor, unless the read is outdated.
   */
  answered: (last: bigint | null, lowest: bigint | null) => void
}

/** Longer than a transaction that writes is in progress by rights, milliseconds. */
const longInProgressMs = 250

/** Begins at zero, before the first id of a lane. */
export const createPointers = (now: () => number = () => performance.now()): Pointers => {
  let cursor = 0n
  let floor = 0n
  /** The highest that it was. */
  let highest = 0n
  /** How often the floor was taken back. */
  let returns = 0
  /** Ids up to `id` are decided once every transaction older than `mark` has ended. */
  let candidate: { id: bigint; mark: bigint; sinceMs: number } | null = null
  /** Every transaction that drew an id up to this one has ended. */
  let decided = 0n

  return {
    cursor: () => cursor,
    floor: () => floor,
    startRead: (lowest) => {
      // A row that a transaction brings which ends from here on may be missing in the answer.
      const sent = { decided, returns }
      const isOutdated = () => returns > sent.returns
      return {
        floor,
        isOutdated,
        answered: (last, lowestNow) => {
          if (isOutdated()) return
          let reached = last === null || last > sent.decided ? sent.decided : last
          // One that was on its way when this was sent may have come back since, and is not in the answer.
          for (const row of [lowest, lowestNow]) if (row !== null && row <= reached) reached = row - 1n
          if (reached > floor) floor = reached
          if (floor > highest) highest = floor
        },
      }
    },
    goBack: (to) => {
      if (to < floor) floor = to
      returns += 1
    },
    isFarBack: () => floor === 0n || floor < highest,
    isHeldUp: () => candidate !== null && now() - candidate.sinceMs >= longInProgressMs,
    sawRow: (id) => {
      if (id > cursor) cursor = id
    },
    sawEnded: (below) => {
      if (candidate === null || below <= candidate.mark) return
      decided = candidate.id
      candidate = null
    },
    // The mark is an xid of our own. A snapshot's xmax would be none: it is the latest ended xid plus one, and a
    // transaction above it may have drawn its id before the read.
    drewXid: (xid, sent) => {
      if (sent > decided) candidate ??= { id: sent, mark: xid, sinceMs: now() }
    },
  }
}
