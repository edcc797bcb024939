import type { HttpOutcome } from './http.ts'

/**
 * What an outcome asks of a caller. `temporary`: the same call may work later; `final`: it will not, as it is.
 * `unauthorized` may be a token that has just run out, and `throttled` names its time in `Retry-After`.
 */
export type HttpClass = 'ok' | 'redirect' | 'unauthorized' | 'throttled' | 'temporary' | 'final'

export const classOf = (outcome: HttpOutcome): HttpClass => {
  switch (outcome.kind) {
    case 'answered':
      return classOfStatus(outcome.status)
    case 'timeout':
    case 'unreachable':
    // Mostly the page of a proxy, which may be gone the next time.
    case 'undecodable':
      return 'temporary'
    case 'too_large':
    case 'unsendable':
      return 'final'
  }
}

const classOfStatus = (status: number): HttpClass => {
  if (status === 401) return 'unauthorized'
  if (status === 429) return 'throttled'
  if (status >= 500 || status === 408 || status === 425) return 'temporary'
  if (status >= 400) return 'final'
  return status >= 300 ? 'redirect' : 'ok'
}
