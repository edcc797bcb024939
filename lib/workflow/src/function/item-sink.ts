/** Where the items go that a function gives before it ends. */
export type ItemSink = {
  /** Takes items, with the cursor behind them if there is one; what is returned, if anything, is to be waited for. */
  take: (items: readonly unknown[], cursor: unknown) => Promise<void> | null
  /** The function is done; resolves to the items that are still to be written, with the end of its job. */
  end: () => Promise<unknown[]>
}

/** `check` throws for items that may not go on. */
export type OpenSink = (check: (items: readonly unknown[]) => void) => ItemSink

/** Keeps all items until the function ends. */
export const collectItems: OpenSink = (check) => {
  const collected: unknown[] = []
  return {
    take: (items) => {
      for (const item of items) collected.push(item)
      return null
    },
    end: async () => {
      check(collected)
      return collected
    },
  }
}

/** Takes the items of a step of which nothing comes out, and keeps none. */
export const dropItems: OpenSink = () => ({ take: () => null, end: async () => [] })
