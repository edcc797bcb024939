import { setImmediate as turn } from 'node:timers/promises'
import { context, ROOT_CONTEXT } from '@opentelemetry/api'

/**
 * Makes one call out of many: what is added while a flush is under way waits and goes together in the next one, at most
 * `most` at a time. Under load the groups grow by themselves; alone, an item waits for nothing but the event loop. A flush
 * is in nobody's trace: it would be in that of whoever came first, for all of them.
 */
export const gather = <Item, Result>(
  most: number,
  flush: (items: Item[]) => Promise<Result[]>,
): ((item: Item) => Promise<Result>) => {
  type Waiting = { item: Item; settled: PromiseWithResolvers<Result> }
  let waiting: Waiting[] = []
  let flushing = false

  const flushAll = async (): Promise<void> => {
    await turn()
    while (waiting.length > 0) {
      const group = waiting.slice(0, most)
      waiting = waiting.slice(most)
      try {
        const results = await flush(group.map(({ item }) => item))
        if (results.length !== group.length) throw new Error(`${group.length} items gave ${results.length} results`)
        results.forEach((result, index) => group[index]?.settled.resolve(result))
      } catch (error) {
        for (const { settled } of group) settled.reject(error)
      }
    }
    flushing = false
  }

  return (item) => {
    const settled = Promise.withResolvers<Result>()
    waiting.push({ item, settled })
    if (!flushing) {
      flushing = true
      void context.with(ROOT_CONTEXT, flushAll)
    }
    return settled.promise
  }
}
