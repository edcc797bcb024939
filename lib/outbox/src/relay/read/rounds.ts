import { type Backoff, backoffMs } from '../backoff.ts'
import type { FloorRead, Pointers } from './pointers.ts'

/**
 * Tries in rounds what a lane has too much of to remember: messages to thousands of queues by name that are not there,
 * which are never parked. Such a row is left in the lane when it was refused, and a read would bring it again at once. So a
 * round passes from the floor to where the lane ended when it began: reads go on above what it has passed, and when it is
 * over, all up to there rests for a while. Then the next one begins at the floor.
 *
 * All that it needs is one id, whatever the lane has. The floor stays below what was left: a read that begins above the
 * floor lifts nothing.
 */
export type Rounds = {
  /** Where a look begins that else would begin at this floor. */
  begin: (floor: bigint) => bigint
  /** A read from the floor is about to be sent; `lowest` is the first row on its way. A round that is due begins with it. */
  startRead: (read: FloorRead, lowest: bigint | null) => RoundRead
  /** Milliseconds until the next round is due, 0 if it is, or null if nothing was left. */
  nextMs: () => number | null
}

/** A read of all above `from`. */
export type RoundRead = {
  from: bigint
  /** It brought rows up to `last`, or none, and if `full` there may be more. */
  answered: (last: bigint | null, full: boolean) => void
  /**
   * Some of its rows were left, and each of the others is deleted or held, all up to `last`; `lowest` is the first row that
   * is on its way now.
   */
  left: (last: bigint, lowest: bigint | null) => void
}

export const createRounds = (
  backoff: Backoff,
  { cursor, floor }: Pick<Pointers, 'cursor' | 'floor'>,
  now: () => number = () => performance.now(),
  random = Math.random,
): Rounds => {
  /** All up to this id were read, and some of them left; 0 while none is. */
  let passed = 0n
  /** The round is over when it has passed this id: what comes later must not keep the next one from beginning. */
  let end = 0n
  /** So many rounds have left rows, one after the other. */
  let attempt = 0
  let dueAtMs = 0

  const isDue = (): boolean => passed >= end && now() >= dueAtMs
  const begin = (at: bigint): bigint => (passed > at && !isDue() ? passed : at)

  return {
    begin,
    startRead: (read, lowest) => {
      if (isDue()) passed = 0n
      const from = begin(read.floor)
      return {
        from,
        answered: (last, full) => {
          // What is on its way may be left as well.
          if (lowest !== null && lowest <= end) return
          if (!full || (last !== null && last >= end)) end = passed
          if (passed === 0n && last === null) attempt = 0
        },
        left: (last, lowestNow) => {
          // A destination opened, whose rows it passed over; or another round has begun.
          if (read.isOutdated() || from > begin(floor())) return
          let reached = last
          for (const row of [lowest, lowestNow]) if (row !== null && row <= reached) reached = row - 1n
          if (reached <= passed) return
          const isNew = passed === 0n
          if (isNew) {
            end = cursor()
            attempt += 1
          }
          if (isNew || passed < end) dueAtMs = now() + backoffMs(attempt, backoff, random)
          passed = reached
        },
      }
    },
    nextMs: () => (passed === 0n ? null : Math.max(0, Math.ceil(dueAtMs - now()))),
  }
}
