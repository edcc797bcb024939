/** Codes are stable and never reused: policies and dashboards may hold on to them. */
export type RdStationErrorCode =
  | 'unreachable' // refused, reset, no such host, or the connection broke in the middle of an answer
  | 'unsendable' // no HTTP: a token or an address that a request cannot hold
  | 'timeout' // no whole answer within the deadline of the call
  | 'unavailable' // 408, 425 or 5xx
  | 'throttled' // 429, or the account has had as many calls as the API allows
  | 'no_turn' // the limit that all processes share cannot be read
  | 'not_json' // an answer that says it is fine and is not JSON: a page of a proxy, cut off, or not in its charset
  | 'unexpected_shape' // JSON that is not what the API promises
  | 'contradictory_total' // twice a page with more or fewer contacts than its total leaves for it
  | 'endless' // the total grows as its pages are read, far beyond what it was
  | 'unstorable' // contacts that no database can hold, and nothing else is missing
  | 'too_large' // more bytes than a call takes
  | 'redirected' // 3xx; the address is wrong, and following it would hand the token to a stranger
  | 'unauthorized' // 401 even with a fresh token, or no token for these credentials
  | 'refresh_token_refused' // no token, since the refresh token was revoked or never was one
  | 'forbidden' // 403
  | 'not_found' // 404
  | 'rejected' // any other 4xx
  | 'origin_refused' // an address that no credentials are sent to
  | 'closed' // the client was closed meanwhile

type Details = {
  /** Which call: method and path, as `GET /platform/segmentations/1/contacts?page=2&page_size=125`. */
  call: string
  status?: number
  /** The API's own codes for what is wrong. */
  types?: readonly string[]
  /** The wait that a 429, a 503 or the limit asked for. */
  retryAfterMs?: number
  cause?: unknown
}

/**
 * A call to RD Station that did not work out. It never holds a token, a secret or a body, not even in its cause, so it
 * may be logged and stored.
 */
export class RdStationError extends Error {
  override readonly name = 'RdStationError'
  readonly code: RdStationErrorCode
  /** Whether the same call, made again later as it is, cannot work either. */
  readonly final: boolean
  readonly call: string
  readonly status: number | undefined
  readonly types: readonly string[]
  readonly retryAfterMs: number | undefined

  constructor(code: RdStationErrorCode, what: string, { call, status, types = [], retryAfterMs, cause }: Details) {
    super(`${call}: ${what}`, cause === undefined ? {} : { cause })
    this.code = code
    this.final = !passingCodes.has(code)
    this.call = call
    this.status = status
    this.types = types
    this.retryAfterMs = retryAfterMs
  }
}

const passingCodes: ReadonlySet<RdStationErrorCode> = new Set([
  'unreachable',
  'timeout',
  'unavailable',
  'throttled',
  'no_turn',
  'not_json',
  'contradictory_total',
  'closed',
])
