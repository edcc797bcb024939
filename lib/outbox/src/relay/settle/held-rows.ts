import { type Backoff, backoffMs } from '../backoff.ts'

/** Where messages go: null is every routing key of the exchange. */
export type Destination = { exchange: string; routingKey: string | null }

/** A destination that takes nothing. */
type Closed = {
  destination: Destination
  /** Who is tried to find out whether it is open: one row, or all that have their last try. They are held. */
  tried: Set<bigint>
  /** Which of them was refused last. */
  probe: bigint | null
  /** Rows that were refused as well, with their keys. They wait for what becomes of the others, and no read brings them. */
  behind: Map<bigint, string>
}

/** Why a row is held back and until when, and the destination that it closes. */
type Held = { key: string; attempt: number; untilMs: number; closedChannel: boolean; closes: Closed | null }

/**
 * Rows that the broker refused, each held back for a time of its own, so that it does not block the others and is not
 * tried in a tight loop.
 *
 * One that was refused for its destination's sake closes that: a backlog for a queue that is not there would else be
 * refused, and remembered, row by row. It is the destination's probe, tried again and again until it goes through, which
 * opens the destination, or is parked. Then those that were refused with it, whatever was in flight, have their last try:
 * each is asked once more, and one refusal parks it. Times are of the monotonic clock (`performance.now()`).
 *
 * There may be 10,000 of them, and any number that wait for queues which nobody has declared, each with a destination of
 * its own, so whatever is done for one row must not pass them all.
 */
export type HeldRows = {
  /**
   * Holds the row back once more, or sets it behind the one that closes its destination; says how often that one was
   * refused, and for how long it waits. A row that is new is one too many if as many are held as may be.
   */
  hold: (
    row: { id: bigint; key: string },
    closedChannel: boolean,
    closes?: Destination | null,
  ) => { attempt: number; retryInMs: number; isOneTooMany: boolean }
  /** The row is out, and if it was held its destination is open. */
  wentThrough: (id: bigint) => void
  /** The row is parked: the last one that was tried for a destination leaves the others their last try, or opens it. */
  parked: (id: bigint) => void
  /** The row is gone: the last one that was tried for a destination opens it. */
  release: (id: bigint) => void
  /** Whether no row is held. */
  isEmpty: () => boolean
  /** Rows above this id whose time has not come: they are not to be read. */
  waiting: (above?: bigint) => bigint[]
  /** Destinations of which nothing is to be read but rows that are due. */
  closed: () => Destination[]
  /** The keys of rows whose time has not come. */
  waitingKeys: () => string[]
  /** Whether such a row has this key. */
  waitsForKey: (key: string) => boolean
  /** Rows whose time has come, those that were tried last at the end. */
  due: () => bigint[]
  /** The key of a row that is held, or null. */
  keyOf: (id: bigint) => string | null
  /** Milliseconds until the next row's time comes, 0 if it has, or null if no row is held. */
  nextMs: () => number | null
  /** Whether publishing this row made the broker close the channel, which hits everything else that is in flight. */
  closedChannel: (id: bigint) => boolean
}

/**
 * How many destinations of one exchange may be closed. Every read leaves them out by their names, and a routing key a
 * message (`order.17.created`) makes as many as there are messages. Rows to further ones are held back one by one.
 */
const mostClosed = 1_000

/**
 * How many rows of a lane may be held each for itself. A topic for each of a million messages, and no queue for any of
 * them, would else have all of them in memory.
 */
const mostHeld = 10_000

/**
 * How many rows behind others are remembered for their last try, as many as the largest window. Further ones are tried
 * anew when their destination opens.
 */
const mostBehind = 10_000

/** `opened` is called when a destination was closed and is not any more. */
export const createHeldRows = (
  backoff: Backoff,
  opened: () => void,
  now: () => number = () => performance.now(),
  random = Math.random,
): HeldRows => {
  const rows = new Map<bigint, Held>()
  /** By exchange and routing key. */
  const closed = new Map<string, Map<string | null, Closed>>()
  const behind = new Map<bigint, Closed>()

  /** Null if so many are closed that this one cannot be. */
  const close = ({ exchange, routingKey }: Destination): Closed | null => {
    const ofExchange = closed.get(exchange) ?? new Map<string | null, Closed>()
    const before = ofExchange.get(routingKey)
    if (before !== undefined) return before
    if (routingKey !== null && ofExchange.size >= mostClosed) return null
    const closes: Closed = { destination: { exchange, routingKey }, tried: new Set(), probe: null, behind: new Map() }
    closed.set(exchange, ofExchange.set(routingKey, closes))
    return closes
  }

  /** Forgets all that were refused for its sake: a read brings them in the order of their ids. */
  const open = (closes: Closed): void => {
    for (const id of closes.tried) rows.delete(id)
    for (const id of closes.behind.keys()) behind.delete(id)
    const { exchange, routingKey } = closes.destination
    const ofExchange = closed.get(exchange)
    ofExchange?.delete(routingKey)
    if (ofExchange?.size === 0) closed.delete(exchange)
    opened()
  }

  const giveLastTries = (closes: Closed, probe: Held): void => {
    for (const [id, key] of closes.behind) {
      behind.delete(id)
      closes.tried.add(id)
      rows.set(id, { ...probe, key, attempt: probe.attempt - 1, untilMs: now() })
    }
    closes.behind.clear()
  }

  /** The row is not tried for its destination any more. Says whether none is. */
  const leave = (id: bigint, closes: Closed | null): closes is Closed => {
    closes?.tried.delete(id)
    return closes?.tried.size === 0
  }

  const forget = (id: bigint): Held | null => {
    const row = rows.get(id) ?? null
    rows.delete(id)
    behind.get(id)?.behind.delete(id)
    behind.delete(id)
    return row
  }

  return {
    hold: ({ id, key }, closedChannel, destination = null) => {
      const closes = destination === null ? null : close(destination)
      const before = forget(id)
      if (before !== null && before.closes !== closes && leave(id, before.closes)) open(before.closes)
      const probe = closes === null || closes.probe === null ? undefined : rows.get(closes.probe)
      if (closes !== null && probe !== undefined && (before?.closes !== closes || probe.untilMs > now())) {
        leave(id, closes)
        if (behind.size < mostBehind) {
          closes.behind.set(id, key)
          behind.set(id, closes)
        }
        const retryInMs = Math.max(0, Math.ceil(probe.untilMs - now()))
        // The probe's own count: what is refused beside one that is parked for it is parked with it, and not one a round.
        return { attempt: probe.attempt, retryInMs, isOneTooMany: false }
      }
      const attempt = (before?.attempt ?? 0) + 1
      const retryInMs = backoffMs(attempt, backoff, random)
      // To the end: of more rows than can be tried none is left out for ever.
      rows.set(id, { key, attempt, untilMs: now() + retryInMs, closedChannel, closes })
      if (closes !== null) {
        closes.tried.add(id)
        closes.probe = id
      }
      return { attempt, retryInMs, isOneTooMany: before === null && rows.size > mostHeld }
    },
    wentThrough: (id) => {
      const closes = forget(id)?.closes ?? null
      if (closes !== null) open(closes)
    },
    parked: (id) => {
      const row = forget(id)
      if (row === null || !leave(id, row.closes)) return
      if (row.closes.behind.size > 0) giveLastTries(row.closes, row)
      else open(row.closes)
    },
    release: (id) => {
      const closes = forget(id)?.closes ?? null
      if (leave(id, closes)) open(closes)
    },
    isEmpty: () => rows.size === 0,
    waiting: (above = 0n) => {
      const at = now()
      const waiting: bigint[] = []
      for (const [id, { untilMs }] of rows) if (id > above && untilMs > at) waiting.push(id)
      return waiting
    },
    closed: () =>
      [...closed.values()].flatMap((ofExchange) => [...ofExchange.values()].map(({ destination }) => destination)),
    waitingKeys: () => {
      const at = now()
      const keys: string[] = []
      for (const { key, untilMs } of rows.values()) if (untilMs > at) keys.push(key)
      return keys
    },
    waitsForKey: (key) => {
      const at = now()
      for (const row of rows.values()) if (row.key === key && row.untilMs > at) return true
      return false
    },
    due: () => {
      const at = now()
      const due: bigint[] = []
      for (const [id, { untilMs }] of rows) if (untilMs <= at) due.push(id)
      return due
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
