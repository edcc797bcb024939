import type { Writable } from 'node:stream'

/** Finds out that confirms do not come, for all batches in flight on a channel together. */
export type ConfirmClock = {
  /** A batch is in flight; returns what says that it is not any more. */
  start: (limits: ConfirmLimits) => () => void
}

export type ConfirmLimits = {
  /** For how long no confirm may come, milliseconds. */
  deadlineMs: number
  /** Whether the broker is known to be slow, and its confirms are worth waiting for. */
  isBlocked: () => boolean
}

type Watched<One> = {
  /** What is in flight on the channel, in the order in which it was sent. */
  inFlight: () => Iterable<One>
  isInFlight: (one: One) => boolean
  /** What the connection writes to. */
  socket: Pick<Writable, 'writableLength'> & { readonly bytesWritten: number }
  onOverdue: (deadlineMs: number) => void
}

/** How many looks there are in the time of a deadline, which may last longer by one of them. */
const looksADeadline = 4

/**
 * A broker that is slow and confirms on and on is waited for, and so is a link that takes long for one large message. So
 * what counts is that the first of those that were in flight at the last look has not been answered, and that no byte which
 * waited to be written has left: heartbeats leave also while the broker owes us nothing but confirms.
 *
 * Neither counts what was sent after that first one. Where a later one has been answered the first is at the broker, whatever
 * else waits to be written; in a lane that is always busy there would be no end to either.
 */
export const createConfirmClock = <One>({ inFlight, isInFlight, socket, onOverdue }: Watched<One>): ConfirmClock => {
  let batches = 0
  let timer: NodeJS.Timeout | undefined
  let movedAtMs = 0
  let seen: One[] = []
  let isOvertaken = false
  let seenSent = 0

  /** `bytesWritten` alone counts what was only handed over to be written, too. */
  const sentBytes = () => socket.bytesWritten - socket.writableLength

  const look = ({ deadlineMs, isBlocked }: ConfirmLimits): void => {
    const [isFirstAnswered = false, ...areLaterAnswered] = seen.map((one) => !isInFlight(one))
    isOvertaken = !isFirstAnswered && (isOvertaken || areLaterAnswered.includes(true))
    const sent = sentBytes()
    const isSending = socket.writableLength > 0 && sent > seenSent
    if (isFirstAnswered || (isSending && !isOvertaken) || isBlocked()) movedAtMs = performance.now()
    seen = [...inFlight()]
    seenSent = sent
    if (performance.now() - movedAtMs >= deadlineMs) onOverdue(deadlineMs)
  }

  return {
    start: (limits) => {
      batches += 1
      if (batches === 1) {
        movedAtMs = performance.now()
        seen = []
        isOvertaken = false
        seenSent = sentBytes()
        timer = setInterval(look, limits.deadlineMs / looksADeadline, limits)
      }
      return () => {
        batches -= 1
        if (batches === 0) clearInterval(timer)
      }
    },
  }
}
