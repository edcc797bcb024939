import { isCutShort, isLockedOut, isTransientHere } from '../database/is-transient.ts'
import type { Tell } from './gather.ts'

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
 * Asks for many in one statement, and tells the answer of each, undefined where there is none, as soon as it is known. What
 * Postgres gives up, for its time, its memory or a lock that somebody else has, is asked for in halves, as groups of ends are
 * written: it may come of all that the statement brings. One that is given up alone is asked for again behind all others,
 * for as long as it takes: nothing of it is known, so there is nothing that could be written of it.
 */
export const inHalves =
  ({ untilDone, onCutShort, pause }: InHalvesMeans) =>
  async <Item, Answer>(
    items: readonly Item[],
    ask: (items: readonly Item[]) => Promise<ReadonlyMap<Item, Answer>>,
    tell: Tell<Answer | undefined>,
  ): Promise<(Answer | undefined)[]> => {
    const answers: (Answer | undefined)[] = Array.from({ length: items.length })
    let parts: Part[] = [{ from: 0, to: items.length }]
    let givenUpAlone: Part[] = []
    for (;;) {
      for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
        const { from, to } = part
        const asked = items.slice(from, to)
        try {
          const some = await untilDone(() => ask(asked), mayPass)
          for (const [place, item] of asked.entries()) {
            answers[from + place] = some.get(item)
            tell(from + place, some.get(item))
          }
        } catch (error) {
          if (!isGivenUp(error)) throw error
          onCutShort(asked.length, error)
          const middle = from + Math.ceil(asked.length / 2)
          if (asked.length === 1) givenUpAlone.push(part)
          else parts.unshift({ from, to: middle }, { from: middle, to })
        }
      }
      if (givenUpAlone.length === 0) return answers
      await pause()
      ;[parts, givenUpAlone] = [givenUpAlone, []]
    }
  }

/** The places of those that are asked for together, `to` not among them. */
type Part = { from: number; to: number }

const isGivenUp = (error: unknown): boolean => isCutShort(error) || isLockedOut(error)

const mayPass = (error: unknown): boolean => isTransientHere(error) && !isGivenUp(error)
