import { RdStationError } from './errors.ts'

/** How long an account is to be left alone when it was asked for so long, or nothing was said, milliseconds. */
export const throttledMs = (retryAfterMs: number | undefined): number =>
  Math.min(maxPauseMs, Math.max(minPauseMs, retryAfterMs ?? rateWindowMs))

/**
 * For how long to put a read off, and why, when it met what is over by itself and says when: a 429, a turn that is far off,
 * or a 503 with its time. Null for every other error: with that an attempt has failed.
 */
export const putOffBy = (error: unknown): { delayMs: number; reason: string } | null => {
  if (!(error instanceof RdStationError)) return null
  const { code, status, retryAfterMs, message: reason } = error
  const isPutOff = code === 'throttled' || (status === 503 && retryAfterMs !== undefined)
  return isPutOff ? { delayMs: throttledMs(retryAfterMs), reason } : null
}

/** RD Station counts requests by the minute, so after a minute a 429 that names no time is over. */
export const rateWindowMs = 60_000
/** `Retry-After: 0` must not become a busy loop. */
const minPauseMs = 1_000
/** A date that is wrong by a year must not stop the account for a year: it is asked again each hour. */
const maxPauseMs = 3_600_000
