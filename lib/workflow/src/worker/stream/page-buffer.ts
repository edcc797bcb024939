import { limitItem } from '../../payload/payload-limit.ts'

/** Items that are written together, and the cursor behind the last of them if there is one. */
export type BufferedPage = { items: unknown[]; cursor: unknown }

export type PageLimits = {
  mostItems: number
  mostBytes: number
  /** What one item may have as JSON. */
  mostItemBytes: number
}

/** What an item takes in memory beside its text, bytes: what has a text of 2 is no smaller. */
const besideText = 128

/** Gathers items until they make a page. */
export const createPageBuffer = (step: string, { mostItems, mostBytes, mostItemBytes }: PageLimits) => {
  let page: BufferedPage = { items: [], cursor: undefined }
  let bytes = 0
  let inMemory = 0
  let before = 0
  return {
    /**
     * Takes all of them or none.
     *
     * @throws WorkflowError `payload_too_large` or `output_rejected`, naming the item by its number.
     */
    add: (items: readonly unknown[], cursor: unknown): void => {
      const first = before + page.items.length + 1
      const more = { bytes: 0, inMemory: 0 }
      for (const [index, item] of items.entries()) {
        const size = limitItem(`step "${step}": item ${first + index}`, item, mostItemBytes)
        more.bytes += size.bytes
        more.inMemory += size.inMemory + besideText
      }
      // Behind the last that could throw: what is gathered is written, also when the attempt ends with that error.
      bytes += more.bytes
      inMemory += more.inMemory
      for (const item of items) page.items.push(item)
      // Without items too: the function has come so far.
      page.cursor = cursor
    },
    /** How many bytes the items take in memory, at most. */
    bytesInMemory: (): number => inMemory,
    isFull: (): boolean => page.items.length >= mostItems || bytes >= mostBytes,
    isEmpty: (): boolean => page.items.length === 0 && page.cursor === undefined,
    /** What is gathered so far. */
    items: (): readonly unknown[] => page.items,
    /** What was gathered; the next page begins empty. */
    flush: (): BufferedPage => {
      const full = page
      before += full.items.length
      page = { items: [], cursor: undefined }
      bytes = 0
      inMemory = 0
      return full
    },
  }
}
