import { type Backoff, backoffMs } from '../backoff.ts'

/** Where messages go: null is every routing key of the exchange. */
export type Destination = { exchange: string; routingKey: string | null }

/** A destination that takes nothing, and the rows that say so. */
type Closed = { destination: Destination; by: Set<bigint> }

/** Why a row is held back and until when, and the destination that it closes. */
type Held = { key: string; attempt: number; untilMs: number; closedChannel: boolean; closes: Closed | null }

/**
 * Rows that the broker refused, each held back for a time of its own, so that it does not block the others and is not
 * tried in a tight loop. One that was refused for its destination's sake closes that until one of its rows goes through: a
 * backlog for a queue that is not there would else be refused, and remembered, row by row. Times are of the monotonic
 * clock (`performance.now()`).
 *
 * There may be 100,000 of them, each with a destination of its own, so whatever is done for one row must not pass them all.
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

/** `opened` is called when a destination was closed and is not any more. */
export const createHeldRows = (
  backoff: Backoff,
  opened: () => void,
  now: () => number = () => performance.now(),
  random = Math.random,
): HeldRows => {
  const rows = new Map<bigint, Held>()
  /** By exchange and routing key, what closes each destination. */
  const closed = new Map<string, Map<string | null, Closed>>()
  const close = (id: bigint, { exchange, routingKey }: Destination): Closed | null => {
    const ofExchange = closed.get(exchange) ?? new Map<string | null, Closed>()
    closed.set(exchange, ofExchange)
    const closes = ofExchange.get(routingKey) ?? { destination: { exchange, routingKey }, by: new Set() }
    if (closes.by.size === 0 && routingKey !== null && ofExchange.size >= mostClosed) return null
    ofExchange.set(routingKey, closes)
    closes.by.add(id)
    return closes
  }
  const open = ({ destination: { exchange, routingKey } }: Closed): void => {
    const ofExchange = closed.get(exchange)
    ofExchange?.delete(routingKey)
    if (ofExchange?.size === 0) closed.delete(exchange)
    opened()
  }
  const openUnlessClosed = (id: bigint, closes: Closed | null): void => {
    closes?.by.delete(id)
    if (closes?.by.size === 0) open(closes)
  }
  return {
    hold: ({ id, key }, closedChannel, destination = null) => {
      const before = rows.get(id)
      const attempt = (before?.attempt ?? 0) + 1
      const retryInMs = backoffMs(attempt, backoff, random)
      const closes = destination === null ? null : close(id, destination)
      // To the end: of more rows than can be tried none is left out for ever.
      rows.delete(id)
      rows.set(id, { key, attempt, untilMs: now() + retryInMs, closedChannel, closes })
      if (before !== undefined && before.closes !== closes) openUnlessClosed(id, before.closes)
      return { attempt, retryInMs }
    },
    wentThrough: (id) => {
      const closes = rows.get(id)?.closes ?? null
      rows.delete(id)
      if (closes === null) return
      for (const other of closes.by) {
        const row = rows.get(other)
        if (row !== undefined) row.closes = null
      }
      open(closes)
    },
    release: (id) => {
      const closes = rows.get(id)?.closes ?? null
      rows.delete(id)
      openUnlessClosed(id, closes)
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
