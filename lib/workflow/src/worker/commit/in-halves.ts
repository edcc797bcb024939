import { isCutShort, isLockedOut, isSilent, isTransientHere } from '../../database/is-transient.ts'
import type { Tell } from '../../gather/gather.ts'

export type LoadEvent = { kind: 'load.cut-short'; jobs: number; reason: string }

export type InHalvesMeans = {
  /** Tries again for as long as what is thrown may pass by itself. */
  untilDone: <T>(work: () => Promise<T>, mayPass: (error: unknown) => boolean) => Promise<T>
  /** Hears of so many that Postgres has given up together. */
  onCutShort: (jobs: number, error: unknown) => void
}

/** In place of an answer: Postgres has given this one up with no other beside it. */
export const givenUpAlone = Symbol('given up alone')

/**
 * Asks for many in one statement, and tells the answer of each, undefined where there is none, as soon as it is known. What
 * Postgres gives up, for its time, its memory or a lock that somebody else has, or has said nothing of for a minute, is asked
 * for in halves, as groups of ends are written: it may come of all that the statement brings.
 */
export const inHalves =
  ({ untilDone, onCutShort }: InHalvesMeans) =>
  async <Item, Answer>(
    items: readonly Item[],
    ask: (items: readonly Item[]) => Promise<ReadonlyMap<Item, Answer>>,
    tell: Tell<Answer | typeof givenUpAlone | undefined>,
  ): Promise<(Answer | typeof givenUpAlone | undefined)[]> => {
    const answers: (Answer | typeof givenUpAlone | undefined)[] = Array.from({ length: items.length })
    const answer = (place: number, one: Answer | typeof givenUpAlone | undefined): void => {
      answers[place] = one
      tell(place, one)
    }
    const parts: Part[] = [{ from: 0, to: items.length }]
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
      const { from, to } = part
      const asked = items.slice(from, to)
      try {
        const some = await untilDone(() => ask(asked), mayPass)
        for (const [place, item] of asked.entries()) answer(from + place, some.get(item))
      } catch (error) {
        if (!isGivenUp(error)) throw error
        onCutShort(asked.length, error)
        const middle = from + Math.ceil(asked.length / 2)
        if (asked.length === 1) answer(from, givenUpAlone)
        else parts.unshift({ from, to: middle }, { from: middle, to })
      }
    }
    return answers
  }

/** The places of those that are asked for together, `to` not among them. */
type Part = { from: number; to: number }

const isGivenUp = (error: unknown): boolean => isCutShort(error) || isLockedOut(error) || isSilent(error)

const mayPass = (error: unknown): boolean => isTransientHere(error) && !isGivenUp(error)
