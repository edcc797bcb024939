import type { HttpRequest } from '@esteira/http'
import { unlessAborted } from '@esteira/service'
import { z } from 'zod'
import type { Call } from './call.ts'
import { RdStationError } from './errors.ts'
import { callName, promised } from './reply.ts'

export type Credentials = { clientId: string; clientSecret: string; refreshToken: string }

/** The access token that all calls of a client share. */
export type AccessToken = {
  /** A token that is good for some time yet; asks for a new one if there is none. */
  get: (signal: AbortSignal) => Promise<string>
  /**
   * Puts another token into the place of this one, which was refused. `false` where that would be in vain: it has itself
   * just taken the place of one that was refused, and nothing has been opened with it.
   */
  replace: (refused: string, signal: AbortSignal) => Promise<boolean>
  /** A call was answered with this token. */
  opened: (token: string) => void
  /** The error of a call that a fresh token was refused for: it says for whose account that was. */
  refusedFresh: (error: RdStationError) => RdStationError
}

type AccessTokenOptions = {
  /** Whose token it is, for errors. */
  account: string
  call: Call
  credentials: Credentials
  now: () => number
  /** Ends a renewal that is under way. It is the client's own, for no single caller may end what others wait for. */
  signal: AbortSignal
}

export const createAccessToken = (options: AccessTokenOptions): AccessToken => {
  const { account, call, credentials, now, signal: closing } = options
  let { refreshToken } = credentials
  let current: Issued | undefined
  let isRefused = false
  let renewal: Promise<string> | undefined

  const renew = async (): Promise<string> => {
    let askedAt = now()
    const atTurn = () => {
      askedAt = now()
      return {}
    }
    const asking = requestToken(call, { ...credentials, refreshToken }, { signal: closing, atTurn })
    const issued = await asking.catch((error: unknown) => {
      throw refusalOf(error, account)
    })
    current = {
      value: issued.access_token,
      renewAt: askedAt + issued.expires_in * 1000 - marginMs(issued.expires_in),
      inVainUntil: isRefused ? askedAt + inVainMs : -Infinity,
    }
    isRefused = false
    // RD Station Marketing keeps the refresh token; should one ever be replaced, the old one would be refused.
    refreshToken = issued.refresh_token ?? refreshToken
    return issued.access_token
  }

  const get = async (signal: AbortSignal): Promise<string> => {
    if (current !== undefined && now() < current.renewAt) return current.value
    renewal ??= renew().finally(() => {
      renewal = undefined
    })
    return unlessAborted(renewal, signal)
  }

  return {
    get,
    replace: async (refused, signal) => {
      // Many calls can be refused with one token. The first forgets it, the others find its successor or the renewal.
      if (current?.value === refused) {
        if (now() < current.inVainUntil) return false
        current = undefined
        isRefused = true
      }
      await get(signal)
      return true
    },
    opened: (token) => {
      if (current?.value === token) current.inVainUntil = -Infinity
    },
    refusedFresh: (error) => refusedFresh(error, account),
  }
}

const refusedFresh = ({ code, call, status, types }: RdStationError, account: string): RdStationError => {
  const answered = ['answered', status, ...types].join(' ')
  const what = `${answered}: a token that was issued for the account "${account}" a moment ago is refused`
  return new RdStationError(code, what, { call, types, ...(status !== undefined && { status }) })
}

/** A token that is out. Until `inVainUntil` another in its place would be refused as well: it is such a one itself. */
type Issued = { value: string; renewAt: number; inVainUntil: number }

/**
 * Else each job of an account that is refused whatever it shows would ask for one more token, out of the calls that all who
 * use the account share. RD Station leaves older tokens good, so a renewal elsewhere is not what this one is refused for.
 */
const inVainMs = 60_000

/** Five minutes, or a tenth of a short life: long enough for a call that starts now to end before the token does. */
const marginMs = (expiresInSeconds: number): number => Math.min(300_000, expiresInSeconds * 100)

/**
 * What OAuth lets a token be (RFC 6749, A.12), visible and with no space around it: no header could hold another, and each
 * call with it would fail as if the API were away.
 */
const headerText = /^[!-~]([ -~]*[!-~])?$/

const issuedToken = z.object({
  access_token: z.string().refine((token) => headerText.test(token), 'must be visible ASCII, which a header can hold'),
  expires_in: z.number().positive(),
  refresh_token: z.string().min(1).optional(),
})

const requestToken = async (
  call: Call,
  { clientId, clientSecret, refreshToken }: Credentials,
  { signal, atTurn }: { signal: AbortSignal; atTurn: () => HttpRequest['headers'] },
) => {
  const request = {
    method: 'POST',
    path: '/auth/token',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify({ client_id: clientId, client_secret: clientSecret, refresh_token: refreshToken }),
  } as const
  const reply = await call(request, signal, atTurn)
  if (reply.kind === 'unauthorized') throw reply.error
  return promised(issuedToken, reply.json, callName(request))
}

/** What RD Station says of a refresh token that was revoked or never was one, and what OAuth says of it. */
const revokedTypes: ReadonlySet<string> = new Set(['INVALID_REFRESH_TOKEN', 'invalid_grant'])

/** What is answered to credentials that are no good, or are not let in. */
const refusingStatuses: ReadonlySet<number> = new Set([400, 401, 403])

/** An error that says for which account no token is given, and what to do about it. */
const refusalOf = (error: unknown, account: string): unknown => {
  if (!(error instanceof RdStationError)) return error
  const { call, status, types } = error
  if (status === undefined || !refusingStatuses.has(status)) return error
  const answered = ['answered', status, ...types].join(' ')
  if (types.some((type) => revokedTypes.has(type))) {
    const what = `${answered}: the refresh token of the account "${account}" was revoked or replaced`
    const todo = 'the account has to be authorized again, and the worker given the new token'
    return new RdStationError('refresh_token_refused', `${what}; ${todo}`, { call, status, types })
  }
  const what = `${answered}: no token is given for the credentials of the account "${account}"`
  return new RdStationError(error.code, what, { call, status, types })
}
