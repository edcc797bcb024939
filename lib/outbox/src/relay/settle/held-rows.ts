import { type Backoff, backoffMs } from '../backoff.ts'

/** Why a row is held back and until when. */
type Held = { key: string; attempt: number; untilMs: number; closedChannel: boolean }

/**
 * Rows that the broker refused, each held back for a time of its own, so that it does not block the others and is not
 * tried in a tight loop. Times are of the monotonic clock (`performance.now()`).
 */
export type HeldRows = {
  /** Holds the row back once more and says for how long. */
  hold: (row: { id: bigint; key: string }, closedChannel: boolean) => { attempt: number; retryInMs: number }
  /** The row is out, or gone. */
  release: (id: bigint) => void
  ids: () => Iterable<bigint>
  /** Rows whose time has not come: they are not to be read. */
  waiting: () => bigint[]
  /** The keys of those rows. */
  waitingKeys: () => string[]
  /** Rows whose time has come. */
  due: () => bigint[]
  /** The key of a row that is held, or null. */
  keyOf: (id: bigint) => string | null
  /** Milliseconds until the next row's time comes, 0 if it has, or null if no row is held. */
  nextMs: () => number | null
  /** Whether publishing this row made the broker close the channel, which hits everything else that is in flight. */
  closedChannel: (id: bigint) => boolean
}

export const createHeldRows = (
  backoff: Backoff,
  now: () => number = () => performance.now(),
  random = Math.random,
): HeldRows => {
  const rows = new Map<bigint, Held>()
  const waiting = () => {
    const at = now()
    return [...rows].filter(([, { untilMs }]) => untilMs > at)
  }
  return {
    hold: ({ id, key }, closedChannel) => {
      const attempt = (rows.get(id)?.attempt ?? 0) + 1
      const retryInMs = backoffMs(attempt, backoff, random)
      rows.set(id, { key, attempt, untilMs: now() + retryInMs, closedChannel })
      return { attempt, retryInMs }
    },
    release: (id) => {
      rows.delete(id)
    },
    ids: () => rows.keys(),
    waiting: () => waiting().map(([id]) => id),
    waitingKeys: () => waiting().map(([, { key }]) => key),
    due: () => {
      const at = now()
      return [...rows].filter(([, { untilMs }]) => untilMs <= at).map(([id]) => id)
    },
    keyOf: (id) => rows.get(id)?.key ?? null,
    nextMs: () => {
      let firstMs = Number.POSITIVE_INFINITY
      for (const { untilMs } of rows.values()) firstMs = Math.min(firstMs, untilMs)
      return rows.size === 0 ? null : Math.max(0, Math.ceil(firstMs - now()))
    },
    closedChannel: (id) => rows.get(id)?.closedChannel ?? false,
  }
}
