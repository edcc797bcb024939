import { setImmediate as turn } from 'node:timers/promises'
import { context, ROOT_CONTEXT } from '@opentelemetry/api'

/** A number that may change from group to group. */
type Bound = number | (() => number)

/** How groups are made of what is added. */
export type GatherOptions<Item> = {
  /** Items of a group, at most. */
  most: Bound
  /** Bytes of a group, at most; an item that has more goes alone. */
  mostBytes?: number
  /** What an item counts in `mostBytes`. */
  bytesOf?: (item: Item) => number
  /** Flushes under way at a time, 1 unless given. One begins beside others only with a full group, or when they are late. */
  atOnce?: Bound
  /** Of two items with the same key one waits while the other is being flushed; in one group they may be together. */
  keyOf?: (item: Item) => string
  /** An item whose signal is aborted before its group begins is in none: it rejects with the signal's reason. */
  signalOf?: (item: Item) => AbortSignal
}

/** Tells the result of the item at a place in its group. */
export type Tell<Result> = (index: number, result: Result) => void

type Flush<Item, Result> = (items: Item[], tell: Tell<Result>) => Promise<Result[]>

/** A flush that takes this long waits for something for which others need not wait; milliseconds. A commit takes some 5. */
const lateMs = 50

/** So many of a group are told what came of them before the answers to the next group get their turn. */
const toldAtOnce = 20

/**
 * Makes one call out of many: what is added while a flush is under way waits and goes together in the next one. Under
 * load the groups grow by themselves; alone, an item waits for nothing but the event loop. A flush may tell the result of
 * an item before it ends. It is in nobody's trace: it would be in that of whoever came first, for all of them.
 */
export const gather = <Item, Result>(
  { most, mostBytes = Infinity, bytesOf = () => 0, atOnce = 1, keyOf, signalOf }: GatherOptions<Item>,
  flush: Flush<Item, Result>,
): ((item: Item) => Promise<Result>) => {
  type Waiting = { item: Item; bytes: number; key: string | undefined; settled: PromiseWithResolvers<Result> }
  type Flight = { keys: ReadonlySet<string>; isLate: boolean }
  let waiting: Waiting[] = []
  let beginning = false
  const [mostNow, atOnceNow] = [boundOf(most), boundOf(atOnce)]
  const flights = new Set<Flight>()

  /** The next group, in the order of what was added, and what is left waiting. */
  const divide = (): { group: Waiting[]; rest: Waiting[]; isFull: boolean } => {
    const [group, rest]: [Waiting[], Waiting[]] = [[], []]
    const flying = [...flights]
    const mostItems = mostNow()
    let bytes = 0
    let isFull = false
    for (const one of waiting) {
      const { key } = one
      const isHeld = key !== undefined && flying.some(({ keys }) => keys.has(key))
      const isOver = group.length >= mostItems || (group.length > 0 && bytes + one.bytes > mostBytes)
      if (!isHeld && isOver) isFull = true
      if (isHeld || isFull) {
        rest.push(one)
        continue
      }
      group.push(one)
      bytes += one.bytes
    }
    return { group, rest, isFull: isFull || group.length >= mostItems || bytes >= mostBytes }
  }

  const begin = (): void => {
    while (waiting.length > 0 && flights.size < atOnceNow()) {
      const { group, rest, isFull } = divide()
      if (group.length === 0) return
      // A small group beside one that will end soon would only make both smaller.
      if (!isFull && [...flights].some(({ isLate }) => !isLate)) return
      waiting = rest
      void fly(group)
    }
  }

  const fly = async (group: readonly Waiting[]): Promise<void> => {
    const keys = new Set<string>()
    for (const { key } of group) if (key !== undefined) keys.add(key)
    const flight: Flight = { keys, isLate: false }
    flights.add(flight)
    const becomeLate = () => {
      flight.isLate = true
      begin()
    }
    // Looked at again and again, as the bound may have grown meanwhile.
    const late = atOnce === 1 ? undefined : setInterval(becomeLate, lateMs)
    let tellings: (() => void)[]
    try {
      const items = group.map(({ item }) => item)
      const tell: Tell<Result> = (index, result) => group[index]?.settled.resolve(result)
      const results = await context.with(ROOT_CONTEXT, () => flush(items, tell))
      if (results.length !== group.length) throw new Error(`${group.length} items gave ${results.length} results`)
      tellings = results.map((result, index) => () => group[index]?.settled.resolve(result))
    } catch (error) {
      tellings = group.map(
        ({ settled }) =>
          () =>
            settled.reject(error),
      )
    }
    clearInterval(late)
    flights.delete(flight)
    begin()
    // Behind the beginning of the next group, and in parts: while they go on here, that one is under way.
    for (const [index, tell] of tellings.entries()) {
      if (index > 0 && index % toldAtOnce === 0) await turn()
      tell()
    }
  }

  const beginSoon = async (): Promise<void> => {
    await turn()
    beginning = false
    begin()
  }

  const leaveIfAborted = (one: Waiting, signal: AbortSignal): void => {
    const leave = () => {
      const place = waiting.indexOf(one)
      if (place === -1) return
      waiting.splice(place, 1)
      one.settled.reject(signal.reason)
    }
    if (signal.aborted) leave()
    // It stays on the signal, which nobody has for longer than the item: to take it off would cost each one more.
    else signal.addEventListener('abort', leave)
  }

  return (item) => {
    const settled = Promise.withResolvers<Result>()
    const one: Waiting = { item, bytes: bytesOf(item), key: keyOf?.(item), settled }
    waiting.push(one)
    if (signalOf !== undefined) leaveIfAborted(one, signalOf(item))
    // With as many under way as may be, the end of one begins the next.
    if (!beginning && flights.size < atOnceNow()) {
      beginning = true
      void beginSoon()
    }
    return settled.promise
  }
}

const boundOf = (bound: Bound): (() => number) => (typeof bound === 'number' ? () => bound : bound)

/** Gathers the items of each part by themselves, so that a part whose flushes take long holds up no other. */
export const gatherApart = <Item, Result>(
  partOf: (item: Item) => string,
  options: GatherOptions<Item>,
  flush: Flush<Item, Result>,
): ((item: Item) => Promise<Result>) => {
  const parts = new Map<string, (item: Item) => Promise<Result>>()
  return (item) => {
    const part = partOf(item)
    const add = parts.get(part) ?? gather(options, flush)
    parts.set(part, add)
    return add(item)
  }
}
