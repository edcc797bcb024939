import { limitItem, limitPlaced } from '../payload/payload-limit.ts'
import { keysOf } from './item-key.ts'

/** Where the items go that a function gives before it ends. */
export type ItemSink = {
  /** Takes items, with the cursor behind them if there is one; what is returned, if anything, is to be waited for. */
  take: (items: readonly unknown[], cursor: unknown) => Promise<void> | null
  /** How many items the job has when all that were taken are written. */
  written: () => Promise<number>
  /** The function is done; resolves to the items that are still to be written, with the end of its job. */
  end: () => Promise<unknown[]>
}

/** `check` throws for items that may not go on. */
export type OpenSink = (check: (items: readonly unknown[]) => void) => ItemSink

/** `itemKey` tells items apart; `mostBytes` is what all of them together may have, where they are stored as one value. */
export type Collecting = { step: string; itemKey: string | null; mostBytes: number | null }

/** Keeps all items until the function ends, or until they are more than may be stored: the rest is not asked for then. */
export const collectItems =
  ({ step, itemKey, mostBytes }: Collecting): OpenSink =>
  (check) => {
    const collected: unknown[] = []
    const known = new Set<string>()
    let bytes = 0
    return {
      take: (items) => {
        const keys = itemKey === null ? null : keysOf(items, itemKey)
        for (const [index, item] of items.entries()) {
          const key = keys?.[index]
          if (key !== undefined && known.has(key)) continue
          if (key !== undefined) known.add(key)
          collected.push(item)
          if (mostBytes === null) continue
          bytes += limitItem(`step "${step}": an item`, item, mostBytes).bytes + 1
          if (bytes > mostBytes) limitPlaced({ kind: 'output', output: collected }, step, mostBytes)
        }
        return null
      },
      written: async () => collected.length,
      end: async () => {
        check(collected)
        return collected
      },
    }
  }

/** Takes the items of a step of which nothing comes out, and keeps none. */
export const dropItems: OpenSink = () => {
  let taken = 0
  return {
    take: (items) => {
      taken += items.length
      return null
    },
    written: async () => taken,
    end: async () => [],
  }
}
