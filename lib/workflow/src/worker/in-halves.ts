import { isCutShort, isTransientHere } from '../database/is-transient.ts'

export type LoadEvent = { kind: 'load.cut-short'; jobs: number; reason: string }

type InHalvesMeans = {
  /** Tries again for as long as what is thrown may pass by itself. */
  untilDone: <T>(work: () => Promise<T>, mayPass: (error: unknown) => boolean) => Promise<T>
  /** Hears of so many that Postgres has given up together. */
  onCutShort: (jobs: number, error: unknown) => void
  /** Before one is asked for again that Postgres gave up alone. */
  pause: () => Promise<unknown>
}

/**
 * Asks for many in one statement. What Postgres gives up, for its time or its memory, is asked for in halves, as groups
 * of ends are written: it may come of all that the statement brings. One that is given up alone is asked for again behind
 * all others, for as long as it takes: nothing of it is known, so there is nothing that could be written of it.
 */
export const inHalves =
  ({ untilDone, onCutShort, pause }: InHalvesMeans) =>
  async <Item, Answer>(
    items: readonly Item[],
    ask: (items: readonly Item[]) => Promise<ReadonlyMap<Item, Answer>>,
  ): Promise<Map<Item, Answer>> => {
    const answers = new Map<Item, Answer>()
    let parts = [items]
    let givenUpAlone: (readonly Item[])[] = []
    for (;;) {
      for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
        const asked = part
        try {
          const some = await untilDone(() => ask(asked), mayPass)
          for (const [item, answer] of some) answers.set(item, answer)
        } catch (error) {
          if (!isCutShort(error)) throw error
          onCutShort(asked.length, error)
          const middle = Math.ceil(asked.length / 2)
          if (asked.length === 1) givenUpAlone.push(asked)
          else parts.unshift(asked.slice(0, middle), asked.slice(middle))
        }
      }
      if (givenUpAlone.length === 0) return answers
      await pause()
      ;[parts, givenUpAlone] = [givenUpAlone, []]
    }
  }

const mayPass = (error: unknown): boolean => isTransientHere(error) && !isCutShort(error)
