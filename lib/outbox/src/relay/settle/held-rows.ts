import { type Backoff, backoffMs } from '../backoff.ts'

/** Where a message goes. */
export type Destination = { exchange: string; routingKey: string }

/** Why a row is held back and until when, and the destination that it closes. */
type Held = { key: string; attempt: number; untilMs: number; closedChannel: boolean; closes: Destination | null }

/**
 * Rows that the broker refused, each held back for a time of its own, so that it does not block the others and is not
 * tried in a tight loop. One that was refused for its destination's sake closes that until one of its rows goes through: a
 * backlog for a queue that is not there would else be refused, and remembered, row by row. Times are of the monotonic
 * clock (`performance.now()`).
 */
export type HeldRows = {
  /** Holds the row back once more and says for how long. */
  hold: (
    row: { id: bigint; key: string },
    closedChannel: boolean,
    closes?: Destination | null,
  ) => { attempt: number; retryInMs: number }
  /** The row is out, and if it was held its destination is open. */
  wentThrough: (id: bigint) => void
  /** The row is parked, or gone: the last one that closes a destination opens it. */
  release: (id: bigint) => void
  /** Rows whose time has not come: they are not to be read. */
  waiting: () => bigint[]
  /** Destinations of which nothing is to be read but rows that are due. */
  closed: () => Destination[]
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

/** `opened` is called when a destination was closed and is not any more. */
export const createHeldRows = (
  backoff: Backoff,
  opened: () => void,
  now: () => number = () => performance.now(),
  random = Math.random,
): HeldRows => {
  const rows = new Map<bigint, Held>()
  const waiting = () => {
    const at = now()
    return [...rows].filter(([, { untilMs }]) => untilMs > at)
  }
  /** Says what the row closed. */
  const remove = (id: bigint): Destination | null => {
    const closes = rows.get(id)?.closes ?? null
    rows.delete(id)
    return closes
  }
  const openUnlessClosed = (destination: Destination | null): void => {
    if (destination !== null && ![...rows.values()].some(({ closes }) => isSame(closes, destination))) opened()
  }
  return {
    hold: ({ id, key }, closedChannel, closes = null) => {
      const before = rows.get(id)
      const attempt = (before?.attempt ?? 0) + 1
      const retryInMs = backoffMs(attempt, backoff, random)
      rows.set(id, { key, attempt, untilMs: now() + retryInMs, closedChannel, closes })
      openUnlessClosed(before?.closes ?? null)
      return { attempt, retryInMs }
    },
    wentThrough: (id) => {
      const closed = remove(id)
      if (closed === null) return
      for (const row of rows.values()) if (isSame(row.closes, closed)) row.closes = null
      opened()
    },
    release: (id) => {
      openUnlessClosed(remove(id))
    },
    waiting: () => waiting().map(([id]) => id),
    closed: () => {
      const closed = new Map<string, Destination>()
      for (const { closes } of rows.values()) {
        if (closes !== null) closed.set(JSON.stringify([closes.exchange, closes.routingKey]), closes)
      }
      return [...closed.values()]
    },
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

const isSame = (one: Destination | null, other: Destination): boolean =>
  one?.exchange === other.exchange && one.routingKey === other.routingKey
