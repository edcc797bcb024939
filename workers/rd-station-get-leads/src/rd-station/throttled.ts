/** How long an account is to be left alone after a 429 that asked for so long, or did not say, milliseconds. */
export const throttledMs = (retryAfterMs: number | undefined): number =>
  Math.max(minPauseMs, retryAfterMs ?? rateWindowMs)

/** RD Station counts requests by the minute, so after a minute a 429 that names no time is over. */
export const rateWindowMs = 60_000
/** `Retry-After: 0` must not become a busy loop. */
const minPauseMs = 1_000
