import type { Refusal } from '../publish/outcome.ts'

/** Where messages go: null is every routing key of the exchange. */
export type Destination = { exchange: string; routingKey: string | null }

/** A destination that takes nothing. */
export type Closed = {
  destination: Destination
  /** What its last refusal was. */
  why: Refusal
  /** All rows to it that are not remembered, passed over or forgotten once it opens, are above this id. */
  above: bigint
  /** The last row to it that was refused; later ones were never tried. */
  lastTried: bigint
  /** Who is tried to find out whether it is open: one row, or all that are to have their last try. They are held. */
  tried: Set<bigint>
  /** Which of them was refused last. */
  probe: bigint | null
  /**
   * Rows that were refused as well, with their keys, and how many refusals count of the one try of each. They wait for what
   * becomes of the others, and no read brings them.
   */
  behind: Map<bigint, { key: string; refusals: number }>
}

export type ClosedDestinations = {
  /**
   * The destination as it is closed, from now on if it was open, and then `above` is where the floor is. Null if so many
   * are closed that this one cannot be.
   */
  close: (destination: Destination, why: Refusal, above: bigint) => Closed | null
  /** It is closed no more. */
  open: (closed: Closed) => void
  /** The destination of just this name, if it is closed. */
  find: (exchange: string, routingKey: string) => Closed | null
  all: () => Closed[]
  /** How many of this exchange are closed. */
  countOf: (exchange: string) => number
  isEmpty: () => boolean
}

/**
 * How many destinations of one exchange may be closed. Every read leaves them out by their names, and a routing key a
 * message (`order.17.created`) makes as many as there are messages. Rows to further ones are held back one by one.
 */
const mostOfExchange = 1_000

/** How many may be closed together: each of a million messages may be to an exchange of its own that is not there. */
const mostClosed = 10_000

export const createClosedDestinations = (): ClosedDestinations => {
  /** By exchange and routing key. */
  const byName = new Map<string, Map<string | null, Closed>>()
  let count = 0
  return {
    close: (destination, why, above) => {
      const { exchange, routingKey } = destination
      const ofExchange = byName.get(exchange) ?? new Map<string | null, Closed>()
      const before = ofExchange.get(routingKey)
      if (before !== undefined) return before
      if (count >= mostClosed || (routingKey !== null && ofExchange.size >= mostOfExchange)) return null
      const closed: Closed = {
        destination: { exchange, routingKey },
        why,
        above,
        lastTried: 0n,
        tried: new Set(),
        probe: null,
        behind: new Map(),
      }
      byName.set(exchange, ofExchange.set(routingKey, closed))
      count += 1
      return closed
    },
    open: ({ destination: { exchange, routingKey }, above }) => {
      const ofExchange = byName.get(exchange)
      if (ofExchange?.delete(routingKey) !== true) return
      count -= 1
      if (ofExchange.size === 0) byName.delete(exchange)
      // What was passed over for both is passed over still, and waits for the other one to open.
      const whole = ofExchange.get(null)
      const overlapping = routingKey === null ? ofExchange.values() : whole === undefined ? [] : [whole]
      for (const other of overlapping) if (above < other.above) other.above = above
    },
    find: (exchange, routingKey) => byName.get(exchange)?.get(routingKey) ?? null,
    all: () => [...byName.values()].flatMap((ofExchange) => Array.from(ofExchange.values())),
    countOf: (exchange) => byName.get(exchange)?.size ?? 0,
    isEmpty: () => count === 0,
  }
}
