import type { Call } from './call.ts'
import type { HttpRequest } from '@esteira/http'
import type { Reply } from './reply.ts'
import type { AccessToken } from './token.ts'

/** Makes one call with the account's token; throws what a `Call` throws, and an RdStationError for a 401. */
export type AuthorizedCall = (request: HttpRequest, signal: AbortSignal) => Promise<Reply & { kind: 'ok' }>

export const createAuthorizedCall =
  (call: Call, token: AccessToken): AuthorizedCall =>
  async (request, signal) => {
    // Renewed before the call waits for its turn: a token has a turn of its own.
    let accessToken = await token.get(signal)
    const authorize = async () => {
      // And once more if it ran out in that wait.
      accessToken = await token.get(signal)
      return { accept: 'application/json', authorization: `Bearer ${accessToken}` }
    }
    const first = await call(request, signal, authorize)
    if (first.kind === 'ok') return first
    // It was revoked, or ended before its time. Only once: a call that a fresh token does not open will not open.
    await token.insteadOf(accessToken, signal)
    const second = await call(request, signal, authorize)
    if (second.kind === 'ok') return second
    throw second.error
  }
