import type { Call } from './call.ts'
import type { HttpRequest } from '@esteira/http'
import type { Reply } from './reply.ts'
import type { AccessToken } from './token.ts'

/** Makes one call with the account's token; throws what a `Call` throws, and an RdStationError for a 401. */
export type AuthorizedCall = (request: HttpRequest, signal: AbortSignal) => Promise<Reply & { kind: 'ok' }>

export const createAuthorizedCall =
  (call: Call, token: AccessToken): AuthorizedCall =>
  async (request, signal) => {
    const accessToken = await token.get(signal)
    const first = await call(withToken(request, accessToken), signal)
    if (first.kind === 'ok') return first
    // It ran out or was revoked meanwhile. Only once: a call that a fresh token does not open will not open.
    const second = await call(withToken(request, await token.insteadOf(accessToken, signal)), signal)
    if (second.kind === 'ok') return second
    throw second.error
  }

const withToken = (request: HttpRequest, accessToken: string): HttpRequest => ({
  ...request,
  headers: { accept: 'application/json', ...request.headers, authorization: `Bearer ${accessToken}` },
})
