/** Items that wait in lines, and their lines for turns. */
export type Turns<Item> = {
  add: (item: Item) => void
  /** It had its turn: the next of its line comes behind one of each other line. */
  served: (item: Item) => void
  /** It does not wait any more; its line keeps its place. */
  withdraw: (item: Item) => void
  isEmpty: () => boolean
  /** All of them in the order of their turns, as it is now. */
  inOrder: () => IteratorObject<Item>
}

/**
 * Lets lines take turns (round robin), so that one in which many wait holds up the others by one item a turn. Within a
 * line who came first is first. An item that is under way still waits, and comes first again, until it is served.
 */
export const takeTurns = <Item>(lineOf: (item: Item) => string): Turns<Item> => {
  /** None of them is empty. The first has the next turn. */
  const lines = new Map<string, Set<Item>>()

  const withdraw = (item: Item): void => {
    const line = lines.get(lineOf(item))
    line?.delete(item)
    if (line?.size === 0) lines.delete(lineOf(item))
  }

  return {
    add: (item) => {
      const line = lines.get(lineOf(item)) ?? new Set()
      lines.set(lineOf(item), line.add(item))
    },
    served: (item) => {
      withdraw(item)
      const rest = lines.get(lineOf(item))
      // Set anew it is the last.
      if (rest !== undefined && lines.delete(lineOf(item))) lines.set(lineOf(item), rest)
    },
    withdraw,
    isEmpty: () => lines.size === 0,
    inOrder: function* () {
      let left = Array.from(lines.values(), (line) => line.values())
      while (left.length > 0) {
        const longer: typeof left = []
        for (const line of left) {
          const next = line.next()
          if (next.done) continue
          yield next.value
          longer.push(line)
        }
        left = longer
      }
    },
  }
}
