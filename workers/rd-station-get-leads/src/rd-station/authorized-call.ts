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
    const opened = (reply: Reply & { kind: 'ok' }) => {
      token.opened(accessToken)
      return reply
    }
    const authorize = async () => {
      // And once more if it ran out in that wait.
      accessToken = await token.get(signal)
      return { accept: 'application/json', authorization: `Bearer ${accessToken}` }
    }
    const first = await call(request, signal, authorize)
    if (first.kind === 'ok') return opened(first)
    // It was revoked, or ended before its time. Only once: a call that a fresh token does not open will not open.
    if (!(await token.replace(accessToken, signal))) throw token.refusedFresh(first.error)
    const second = await call(request, signal, authorize)
    if (second.kind === 'ok') return opened(second)
    throw token.refusedFresh(second.error)
  }
