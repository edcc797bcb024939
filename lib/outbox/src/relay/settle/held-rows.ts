import { type Backoff, backoffMs } from '../backoff.ts'
import type { Refusal } from '../publish/outcome.ts'
import type { Pointers } from '../read/pointers.ts'
import { type Closed, createClosedDestinations, type Destination } from './closed-destinations.ts'
import { createWaitList, type Held, type Waiting } from './wait-list.ts'

/**
 * Rows that the broker refused, each held back for a time of its own, so that it does not block the others and is not
 * tried in a tight loop.
 *
 * One that was refused for its destination's sake closes that: a backlog for a queue that is not there would else be
 * refused, and remembered, row by row. It is the destination's probe, tried again and again until it goes through, which
 * opens the destination, or is parked. Then those that were refused with it, whatever was in flight, have their last try:
 * each is asked once more, and one refusal parks it. Times are of the monotonic clock (`performance.now()`).
 *
 * There may be tens of thousands of them, so whatever is done for one row must not pass them all.
 */
export type HeldRows = Waiting & {
  /**
   * Holds the row back once more, or sets it behind the one that closes its destination; says how often that one was
   * tried, how many of those were refusals that count, and for how long it waits. It is `patient` if nobody is to blame: then
   * this try does not count. A row that is new is one too many if as many are held for themselves as may be.
   */
  hold: (
    row: { id: bigint; key: string },
    why: Refusal,
    destination?: Destination | null,
    patient?: boolean,
  ) => { attempt: number; refusals: number; retryInMs: number; isOneTooMany: boolean }
  /** The row is out, and if it was held its destination is open. */
  wentThrough: (id: bigint) => void
  /**
   * A queue took another row to this destination. If it was closed since none took one, the exchange goes by more than
   * the routing key, or the queue has come: it is open, and those that were refused are held each for itself.
   */
  tookAnother: (exchange: string, routingKey: string) => void
  /** The row is parked: the last one that was tried for a destination leaves the others their last try, or opens it. */
  parked: (id: bigint) => void
  /** The row is gone: the last one that was tried for a destination opens it. */
  release: (id: bigint) => void
  /** Destinations of which nothing is to be read but rows that are due. */
  closed: () => Destination[]
  /**
   * Closed destinations whose probe is due, at most a few, that may take other rows all the same: those of an exchange
   * that was named, of which no queue took the probe.
   */
  doubtful: () => { exchange: string; routingKey: string; probe: bigint; lastTried: bigint }[]
  /** All that is held, or was passed over for a closed destination, is above this id; null if nothing is. */
  above: () => bigint | null
}

/**
 * How many rows of a lane may be held each for itself. A topic for each of a million messages, and no queue for any of
 * them, would else have all of them in memory. Further ones are parked, or left to rounds.
 */
const mostHeld = 10_000

/**
 * How many rows behind others are remembered for their last try, as many as the largest window. Further ones are tried
 * anew when their destination opens.
 */
const mostBehind = 10_000

/** Of how many destinations at a time it is asked whether they take other rows. Each costs a search. */
const mostDoubtful = 4

/** An exchange of which more routing keys are closed is not asked. */
const mostDoubted = 10

const untried = { attempt: 0, refusals: 0 }

/** `floor` is where reads begin: the rows of a destination that opens are above where it was when that closed. */
export const createHeldRows = (
  backoff: Backoff,
  floor: Pick<Pointers, 'floor' | 'goBack'>,
  now: () => number = () => performance.now(),
  random = Math.random,
): HeldRows => {
  const list = createWaitList(now)
  const closed = createClosedDestinations()
  const behind = new Map<bigint, Closed>()

  /** Forgets all that were refused for its sake: a read brings them in the order of their ids. */
  const open = (closes: Closed): void => {
    for (const id of closes.tried) list.remove(id)
    for (const id of closes.behind.keys()) behind.delete(id)
    closed.open(closes)
    floor.goBack(closes.above)
  }

  const giveLastTries = (closes: Closed, probe: Held): void => {
    for (const [id, { key }] of closes.behind) {
      behind.delete(id)
      closes.tried.add(id)
      list.add(id, { ...probe, key, attempt: probe.attempt - 1, refusals: probe.refusals - 1, untilMs: now() })
    }
    closes.behind.clear()
  }

  const forget = (id: bigint): Held | null => {
    behind.get(id)?.behind.delete(id)
    behind.delete(id)
    return list.remove(id)
  }

  return {
    ...list.asked,
    hold: ({ id, key }, why, destination = null, patient = false) => {
      const before = forget(id)
      // One that is held for itself stays so: it was seen that its destination takes others.
      const closes =
        destination === null || before?.closes === null ? null : closed.close(destination, why, floor.floor())
      const isElsewhere = before !== null && before.closes !== closes
      if (isElsewhere && leave(id, before.closes)) open(before.closes)
      if (closes !== null) {
        if (id <= closes.above) closes.above = id - 1n
        if (id > closes.lastTried) closes.lastTried = id
        const probe = closes.probe === null ? null : list.get(closes.probe)
        const isTriedForIt = before !== null && !isElsewhere
        if (probe !== null && (!isTriedForIt || probe.untilMs > now())) {
          leave(id, closes)
          if (behind.size < mostBehind) {
            closes.behind.set(id, { key, refusals: patient ? 0 : 1 })
            behind.set(id, closes)
          }
          // The probe's own count, so that one refused beside a hopeless probe is hopeless as well, and not one a round.
          return {
            attempt: probe.attempt,
            refusals: probe.refusals,
            retryInMs: Math.max(0, Math.ceil(probe.untilMs - now())),
            isOneTooMany: false,
          }
        }
      }
      // What it was refused for elsewhere says nothing of here: the exchange has come, and its queue may come next.
      const { attempt: attempts, refusals: counted } = before === null || isElsewhere ? untried : before
      const attempt = attempts + 1
      const refusals = patient ? counted : counted + 1
      const untilMs = list.timeIn(backoffMs(attempt, backoff, random))
      const retryInMs = Math.ceil(untilMs - now())
      list.add(id, { key, attempt, refusals, untilMs, why, closes })
      if (closes !== null) {
        closes.why = why
        closes.tried.add(id)
        closes.probe = id
      }
      const isOneTooMany = before === null && closes === null && list.countAlone() > mostHeld
      return { attempt, refusals, retryInMs, isOneTooMany }
    },
    wentThrough: (id) => {
      const closes = forget(id)?.closes ?? null
      if (closes !== null) open(closes)
    },
    tookAnother: (exchange, routingKey) => {
      const closes = closed.isEmpty() ? null : closed.find(exchange, routingKey)
      if (closes?.why !== 'unroutable') return
      const untilMs = now() + backoffMs(1, backoff, random)
      const tried = [...closes.tried].map((id) => ({ id, row: list.get(id) }))
      const refused = [...closes.behind]
      open(closes)
      for (const { id, row } of tried) if (row !== null) list.add(id, { ...row, closes: null })
      for (const [id, once] of refused) list.add(id, { ...once, attempt: 1, untilMs, why: closes.why, closes: null })
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
    closed: () => closed.all().map(({ destination }) => destination),
    doubtful: () => {
      const doubtful: ReturnType<HeldRows['doubtful']> = []
      for (const { destination, why, tried, probe, lastTried } of closed.all()) {
        const { exchange, routingKey } = destination
        // The default exchange goes by the routing key, and so does one of which many routing keys are closed.
        if (exchange === '' || routingKey === null || closed.countOf(exchange) > mostDoubted) continue
        if (why !== 'unroutable' || tried.size > 1 || probe === null || !list.isDue(probe)) continue
        doubtful.push({ exchange, routingKey, probe, lastTried })
        if (doubtful.length === mostDoubtful) break
      }
      return doubtful
    },
    above: () => {
      const ends = closed.all().map(({ above }) => above)
      for (const id of list.alone()) ends.push(id - 1n)
      return ends.reduce<bigint | null>((lowest, end) => (lowest === null || end < lowest ? end : lowest), null)
    },
  }
}

/** The row is not tried for its destination any more. Says whether none is. */
const leave = (id: bigint, closes: Closed | null): closes is Closed => {
  closes?.tried.delete(id)
  return closes?.tried.size === 0
}
