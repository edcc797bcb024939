import { within } from '../within.ts'

/**
 * Who may have messages in flight on the connection: any lanes beside each other, or one that is alone. They come in the
 * order in which they ask, so whoever asks to be alone waits for those before it only, and holds up those behind it.
 */
export type Turns = {
  beside: <Done>(work: () => Promise<Done>) => Promise<Done>
  alone: <Done>(work: () => Promise<Done>) => Promise<Done>
}

/**
 * How long whoever is to be alone waits for what others have in flight, milliseconds. RabbitMQ closes the connection over a
 * message when it comes to that. What was sent so long ago and has no confirm waits for a queue, and that may be for as long
 * as the confirm deadline; nobody else is to stand so long.
 */
const longestWaitMs = 5_000

export const createTurns = (waitMs = longestWaitMs): Turns => {
  /** Ends with the last work that asked to be alone, however that ends. */
  let lastAlone: Promise<unknown> = Promise.resolve()
  /** Works that asked since then. */
  const others = new Set<Promise<unknown>>()
  return {
    beside: (work) => {
      const done = lastAlone.then(work)
      const ended: Promise<unknown> = Promise.allSettled([done]).finally(() => others.delete(ended))
      others.add(ended)
      return done
    },
    alone: (work) => {
      const before = Promise.all(others)
      const done = lastAlone.then(() => within(waitMs, before)).then(work)
      others.clear()
      lastAlone = Promise.allSettled([done])
      return done
    },
  }
}
