type InPlace = <T>(work: () => Promise<T>) => Promise<T>

/** Places of each name for itself: what waits for one of them waits for its own kind alone. */
export const placesByName = (most: number): ((name: string) => InPlace) => {
  const byName = new Map<string, InPlace>()
  return (name) => {
    const inPlace = byName.get(name) ?? places(most)
    byName.set(name, inPlace)
    return inPlace
  }
}

/** Lets `most` pieces of work run at a time; others wait for their turn in the order in which they came. */
export const places = (most: number): InPlace => {
  const waiting: (() => void)[] = []
  let free = most
  return async (work) => {
    if (free > 0) free -= 1
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) free += 1
      else next()
    }
  }
}
