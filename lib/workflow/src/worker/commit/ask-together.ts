import type { Tell } from '../../gather/gather.ts'
import { givenUpAlone, inHalves, type InHalvesMeans } from './in-halves.ts'
import { places } from '../attempt/places.ts'

type AskMeans = InHalvesMeans & {
  /** Before one is asked for again that Postgres gave up alone. */
  pause: () => Promise<unknown>
}

/** Makes groups of what is asked for, and has each of them flushed: `gather`, with its options. */
type Gathering<Item, Result> = (
  flush: (items: Item[], tell: Tell<Result>) => Promise<Result[]>,
) => (item: Item) => Promise<Result>

/**
 * Makes one statement of many that ask, in halves where Postgres gives it up. Who is given up alone leaves the group, whose
 * place is for others, and is asked for again, for as long as it takes: nothing of it is known, so there is nothing that could
 * be written of it. It stands in a line with all others of the worker that are so, and each has its turn: however many
 * they are, and however long a statement may take, they have one session together.
 */
export const createAskTogether = ({ pause, ...means }: AskMeans) => {
  const askFor = inHalves(means)
  const inLine = places(1)
  return <Item, Answer>(
    gathering: Gathering<Item, Answer | typeof givenUpAlone | undefined>,
    ask: (items: readonly Item[]) => Promise<ReadonlyMap<Item, Answer>>,
  ): ((item: Item) => Promise<Answer | undefined>) => {
    const askInGroup = gathering((items, tell) => askFor(items, ask, tell))
    const askAlone = async (item: Item): Promise<Answer | typeof givenUpAlone | undefined> => {
      await pause()
      const [answer] = await inLine(() => askFor([item], ask, () => {}))
      return answer
    }
    return async (item) => {
      let answer = await askInGroup(item)
      while (answer === givenUpAlone) answer = await askAlone(item)
      return answer
    }
  }
}
