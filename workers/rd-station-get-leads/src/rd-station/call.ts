import { setTimeout as delay } from 'node:timers/promises'
import { retryAfterMs, type Http, type HttpRequest } from './http.ts'
import { readReply, refusal, type Reply } from './reply.ts'

/**
 * Makes one call. A 429 is waited out for as long as it says, and the same call made again, unless the worker stops.
 *
 * @throws RdStationError for every failure that is not waited out, and the signal's reason once it is aborted.
 */
export type Call = (request: HttpRequest, signal: AbortSignal) => Promise<Reply>

export type CallOptions = {
  http: Http
  /** How long one call may wait for the rate limit in all, before it fails as `throttled`. */
  maxThrottledMs: number
  /** Aborted when nobody has the time to wait any more; what is under way still comes to its end. */
  stopping: AbortSignal
  now: () => number
  /** Ends early, without an error, once the signal is aborted. */
  wait: (ms: number, signal: AbortSignal) => Promise<void>
}

export const createCall =
  ({ http, maxThrottledMs, stopping, now, wait }: CallOptions): Call =>
  async (request, signal) => {
    let waitedMs = 0
    for (;;) {
      const outcome = await http.send(request, signal)
      if (outcome.kind !== 'answered' || outcome.status !== 429) return readReply(request, outcome, now())
      const asked = retryAfterMs(outcome.headers('retry-after'), now()) ?? defaultPauseMs
      // Spread at random: all who were refused in one window would come back in the first moment of the next.
      const pauseMs = Math.max(minPauseMs, asked) + Math.random() * spreadMs
      waitedMs += pauseMs
      if (waitedMs > maxThrottledMs) throw refusal(request, outcome, now())
      await wait(pauseMs, AbortSignal.any([signal, stopping]))
      signal.throwIfAborted()
      if (stopping.aborted) throw refusal(request, outcome, now())
    }
  }

/** Waits, at most until the signal is aborted. */
export const waitFor = async (ms: number, signal: AbortSignal): Promise<void> => {
  try {
    await delay(ms, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/** RD Station counts requests by the minute, so after a minute a 429 that names no time is over. */
const defaultPauseMs = 60_000
/** `Retry-After: 0` must not become a busy loop. */
const minPauseMs = 1_000
const spreadMs = 1_000
