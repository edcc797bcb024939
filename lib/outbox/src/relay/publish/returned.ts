import type { LaneRow } from '../read/lane-row.ts'

/** What tells a message in flight from others: one event may go to two destinations under one id. */
type Named = Pick<LaneRow, 'messageId' | 'exchange' | 'routingKey'>

/**
 * Messages in flight that came back. Two may have one name, so a name is remembered as long as another one may still be
 * answered by it.
 *
 * Names are counted from the first message that comes back until nothing is in flight: mostly none does, and to name each
 * that is sent would cost it more than all else here.
 */
export type Returned = {
  /** The message is on its way. */
  sent: (message: Named) => void
  /** The message came back; `inFlight` are all that are on their way. */
  cameBack: (message: Named, inFlight: Iterable<Named>) => void
  /** Whether the message, or one of its name, came back. */
  has: (message: Named) => boolean
  /** The message is answered; so many others are not. */
  ended: (message: Named, left: number) => void
}

export const createReturned = (): Returned => {
  const names = new Set<string>()
  /** How many of each name are in flight; null while nothing has come back. */
  let counts: Map<string, number> | null = null
  const count = (message: Named, by: number): void => {
    if (counts === null) return
    const name = nameOf(message)
    const left = (counts.get(name) ?? 0) + by
    if (left > 0) {
      counts.set(name, left)
    } else {
      counts.delete(name)
      names.delete(name)
    }
  }
  return {
    sent: (message) => count(message, 1),
    cameBack: (message, inFlight) => {
      if (counts === null) {
        counts = new Map()
        for (const one of inFlight) count(one, 1)
      }
      names.add(nameOf(message))
    },
    has: (message) => names.size > 0 && names.has(nameOf(message)),
    ended: (message, left) => {
      count(message, -1)
      if (left > 0) return
      names.clear()
      counts = null
    },
  }
}

const nameOf = ({ messageId, exchange, routingKey }: Named): string => JSON.stringify([messageId, exchange, routingKey])
