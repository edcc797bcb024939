/** A message as it was written and as it came: the n-th of its key, from 1 on. */
export type Numbered = { key: string; n: number }

/** `redelivered`: the queue gave it before, to a consumer that was killed. `isWhole`: it is what was written. */
export type Came = Numbered & { redelivered: boolean; isWhole: boolean }

export type Comparison = {
  committed: number
  /** Messages that came once more. */
  again: number
  /** Committed, and never came. */
  lost: string[]
  /** Came, and was never committed. */
  invented: string[]
  /** Of an ordered key, and was published after one with a higher number, for the first time or again. */
  overtaken: string[]
  /** Came as something else than what was written. */
  spoilt: string[]
}

/**
 * Compares what was committed, the last number of each key, with what a queue gave in the order in which it came. A
 * message that comes again is no fault, but where its key is ordered and a later one was published in between.
 */
export const compare = (
  last: readonly Numbered[],
  received: Iterable<Came>,
  isOrdered: (key: string) => boolean,
): Comparison => {
  const committed = new Map(last.map(({ key, n }) => [key, n]))
  const seen = new Map<string, { numbers: Set<number>; highest: number }>()
  const result: Comparison = { committed: 0, again: 0, lost: [], invented: [], overtaken: [], spoilt: [] }
  for (const { key, n, redelivered, isWhole } of received) {
    if (!isWhole) result.spoilt.push(nameOf({ key, n }))
    const before = seen.get(key) ?? { numbers: new Set<number>(), highest: 0 }
    seen.set(key, before)
    const isAgain = before.numbers.has(n)
    const isGivenAgain = isAgain && redelivered
    if (isOrdered(key) && n < before.highest && !isGivenAgain) {
      result.overtaken.push(`${key}: ${n} after ${before.highest}`)
    }
    if (isAgain) {
      result.again += 1
      continue
    }
    if (n > (committed.get(key) ?? 0)) result.invented.push(nameOf({ key, n }))
    before.numbers.add(n)
    before.highest = Math.max(before.highest, n)
  }
  for (const [key, count] of committed) {
    result.committed += count
    for (let n = 1; n <= count; n++) if (seen.get(key)?.numbers.has(n) !== true) result.lost.push(nameOf({ key, n }))
  }
  return result
}

/** `unparked`: committed to where no queue is, and not parked. `misparked`: parked, and none of those, or once more. */
export type ParkedComparison = { parked: number; unparked: string[]; misparked: string[] }

/** Compares the last numbers of the keys whose messages no queue takes with what was parked: each of them, once. */
export const compareParked = (last: readonly Numbered[], parked: readonly Numbered[]): ParkedComparison => {
  const missing = new Set(last.flatMap(({ key, n }) => Array.from({ length: n }, (_, i) => nameOf({ key, n: i + 1 }))))
  const misparked = parked.map(nameOf).filter((name) => !missing.delete(name))
  return { parked: parked.length, unparked: [...missing], misparked }
}

const nameOf = ({ key, n }: Numbered): string => `${key}: ${n}`
