export type Admission = { kind: 'admitted' } | { kind: 'refused'; retryAfterSeconds: number }

export type RateLimit = {
  /** Counts one request against a limit a minute; null is no limit. */
  admit: (perMinute: number | null) => Admission
}

/**
 * A fixed window: it opens with the first request, lasts one minute, and the next request after it opens another. Two
 * full windows can meet, so that up to twice the limit passes within a minute, as with every fixed window. Refused
 * requests do not count.
 */
export const createRateLimit = (now: () => number): RateLimit => {
  let window = { endsAt: Number.NEGATIVE_INFINITY, requests: 0 }
  return {
    admit: (perMinute) => {
      if (now() >= window.endsAt) window = { endsAt: now() + windowMs, requests: 0 }
      if (perMinute !== null && window.requests >= perMinute) {
        return { kind: 'refused', retryAfterSeconds: Math.max(1, Math.ceil((window.endsAt - now()) / 1000)) }
      }
      window.requests += 1
      return { kind: 'admitted' }
    },
  }
}

const windowMs = 60_000
