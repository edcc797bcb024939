/**
 * Up to which id nothing can appear any more. Ids are drawn before their transactions commit, and writers draw their xid
 * before their ids: once every transaction older than an xid has ended that a relay drew after it knew of an id, nobody is
 * left who drew that id or a lower one.
 */
export type DecidedIds = {
  /** Every transaction that drew an id up to this one has ended. */
  upTo: () => bigint
  /** Whether an xid that is drawn after this id would tell more than the one that is waited for. */
  wants: (id: bigint) => boolean
  /** A statement told the oldest xid that was in progress when it began (`pg_snapshot_xmin`). */
  sawXmin: (xmin: bigint) => void
  /** A statement drew an xid of its own. `id` is the last one that was known to be drawn when that statement was sent. */
  drewXid: (xid: bigint, id: bigint) => void
}

export const createDecidedIds = (): DecidedIds => {
  /** Ids up to `id` are decided once every transaction older than `mark` has ended. */
  let candidate: { id: bigint; mark: bigint } | null = null
  let decided = 0n
  const wants = (id: bigint): boolean => candidate === null && id > decided
  return {
    upTo: () => decided,
    wants,
    sawXmin: (xmin) => {
      if (candidate === null || xmin <= candidate.mark) return
      decided = candidate.id
      candidate = null
    },
    // The mark is an xid of our own. A snapshot's xmax would be none: it is the latest ended xid plus one, and a
    // transaction above it may have drawn its id before the read.
    drewXid: (xid, id) => {
      if (wants(id)) candidate = { id, mark: xid }
    },
  }
}
