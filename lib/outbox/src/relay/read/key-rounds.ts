import { type Backoff, backoffMs } from '../backoff.ts'

/**
 * Tries in rounds what a key lane has too much of to remember: keys whose first rows are to thousands of queues by name that
 * are not there. Such a row is left in the lane when it was refused, and a read would bring it again at once. So a round
 * passes the keys in their order, once each. What it has passed rests until it has come to the last key, and for a while
 * after that; then the next one begins at the first key.
 *
 * New rows come to any key, before and behind where the round is. So of the keys that rest those are read all the same whose
 * first row is to an exchange that was named, or to a queue that took one lately: rows that have a queue do not wait for
 * those that have none.
 *
 * All that it needs is one key, and the names of some queues.
 */
export type KeyRounds = {
  /** Whether any key rests. */
  isOn: () => boolean
  /** The last key that rests: '' before the first one, null if all do. */
  resting: () => string | null
  /** The queues to which rows are read all the same. */
  takers: () => string[]
  /** A pass through the keys begins, and nothing of the lane is in flight. A round that is due begins with it. */
  startPass: () => void
  /**
   * A read brought rows of keys up to `lastKey`, and if `full` there may be further keys. What it returns is to be called
   * when each of those rows has come to an end, with how many were left.
   */
  read: (lastKey: string, full: boolean) => (left: number) => void
  /** This queue took a row. */
  took: (queue: string) => void
  /** This queue is not there. */
  missed: (queue: string) => void
  /** Milliseconds until the next round is due, 0 if it is, or null while none is waited for. */
  nextMs: () => number | null
}

/** A read of this pass, and whether its rows have come to an end. */
type Read = { lastKey: string; full: boolean; hasEnded: boolean }

/** So many names are remembered. Every read has them. */
const mostTakers = 1_000

export const createKeyRounds = (
  backoff: Backoff,
  now: () => number = () => performance.now(),
  random = Math.random,
): KeyRounds => {
  /** Keys up to this one were tried, and something was left; null once all were. */
  let passed: string | null = ''
  /** Whether the round that is on has left rows. */
  let hasLeft = false
  /** So many rounds have left rows, one after the other. */
  let attempt = 0
  let dueAtMs = 0
  /** Those of this pass that have not ended, and those behind them. */
  let reads: Read[] = []
  const takers = new Set<string>()

  const isDue = (): boolean => passed === null && now() >= dueAtMs

  const pass = ({ lastKey, full }: Read): void => {
    if (passed === null) return
    if (full) {
      if (hasLeft && comesAfter(lastKey, passed)) passed = lastKey
      return
    }
    if (hasLeft) {
      attempt += 1
      dueAtMs = now() + backoffMs(attempt, backoff, random)
    } else {
      attempt = 0
      takers.clear()
    }
    passed = hasLeft ? null : ''
    hasLeft = false
  }

  return {
    isOn: () => passed !== '' && !isDue(),
    resting: () => (isDue() ? '' : passed),
    takers: () => [...takers],
    startPass: () => {
      if (isDue()) passed = ''
      reads = []
    },
    read: (lastKey, full) => {
      const read = { lastKey, full, hasEnded: false }
      reads.push(read)
      return (left) => {
        read.hasEnded = true
        if (left > 0) hasLeft = true
        // What is on its way before it may come back without a confirm, and is to be read again then.
        for (let first = reads[0]; first?.hasEnded === true; first = reads[0]) {
          reads.shift()
          pass(first)
        }
      }
    },
    took: (queue) => {
      if (attempt === 0 && !hasLeft) return
      takers.delete(queue)
      takers.add(queue)
      const [oldest] = takers
      if (takers.size > mostTakers && oldest !== undefined) takers.delete(oldest)
    },
    missed: (queue) => void takers.delete(queue),
    nextMs: () => (passed === null ? Math.max(0, Math.ceil(dueAtMs - now())) : null),
  }
}

/** In the order in which Postgres has the keys: that of their bytes. */
const comesAfter = (key: string, other: string): boolean => Buffer.compare(Buffer.from(key), Buffer.from(other)) > 0
