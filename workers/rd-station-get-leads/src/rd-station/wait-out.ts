import type { AuthorizedCall } from './authorized-call.ts'
import { putOffBy } from './throttled.ts'

export type WaitOutOptions = {
  /** Aborted when nobody has the time to wait any more; what is under way still comes to its end. */
  stopping: AbortSignal
  /** Ends early, without an error, once the signal is aborted. */
  wait: (ms: number, signal: AbortSignal) => Promise<void>
  /** How much time is left, milliseconds: for a wait, and a call behind it. */
  leftMs: () => number
}

/**
 * A call that waits for as long as a 429, a 503 or the limit says and is then made again, for reads that would have to begin
 * anew if they were put off. It ends with the signal, or with that error when the worker stops, or when the time that is
 * left is over before: an attempt that began anew would have got no further.
 */
export const waitingOut =
  (call: AuthorizedCall, { stopping, wait, leftMs }: WaitOutOptions): AuthorizedCall =>
  async (request, signal) => {
    for (;;) {
      try {
        return await call(request, signal)
      } catch (error) {
        const putOff = putOffBy(error)
        if (putOff === null || stopping.aborted || putOff.delayMs + spreadMs >= leftMs()) throw error
        // Spread at random: all who were refused in one window would come back in the first moment of the next.
        await wait(putOff.delayMs + Math.random() * spreadMs, AbortSignal.any([signal, stopping]))
        signal.throwIfAborted()
        if (stopping.aborted) throw error
      }
    }
  }

const spreadMs = 1_000
