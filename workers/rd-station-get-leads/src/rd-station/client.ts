import { createHttp, pause, type RateLimit } from '@esteira/http'
import { createAuthorizedCall } from './authorized-call.ts'
import { createCall } from './call.ts'
import { readContacts, type ContactsPage, type ContactsQuery } from './contacts.ts'
import { RdStationError } from './errors.ts'
import { noLimit } from './limit.ts'
import { createAccessToken, type Credentials } from './token.ts'
import { waitingOut, type WaitOutOptions } from './wait-out.ts'

export type RdStationClientOptions = Credentials & {
  /** What errors call the account; "default". */
  account?: string
  /** The API's address, https://api.rd.services for the public one. */
  baseUrl: string
  /** For one call, from connecting to the last byte, without its waits for a connection and the rate limit; 30 s. */
  deadlineMs?: number
  /** A page of 125 contacts has about 50 kB; 4 MiB. */
  maxResponseBytes?: number
  /** What all who use the account share; none unless given. */
  limit?: RateLimit
  /** Once it is aborted, a call that would wait out a 429 or a 503 fails with it instead. */
  stopping?: AbortSignal
  /** Milliseconds since 1970; a test passes a clock of its own, and with it a wait that moves that clock. */
  now?: () => number
  wait?: WaitOutOptions['wait']
}

export type RdStationClient = {
  /**
   * The contacts of a segmentation, a page at a time; see `readContacts`. A 429, and a 503 that says how long, ends it with
   * an error that `putOffBy` knows, unless the query says that it is to be waited out, and the wait fits into its time.
   */
  contacts: (query: ContactsQuery & WaitsOut) => AsyncIterable<ContactsPage>
  /** Ends what is under way as `closed` and frees the connections. */
  close: () => Promise<void>
}

/** Whether a read waits, and how much time it has from now on, milliseconds; any unless given. */
type WaitsOut = { waitsOut?: boolean; timeoutMs?: number }

/** A client of one RD Station account. All its calls, however many at once, share one access token. */
export const createRdStationClient = (options: RdStationClientOptions): RdStationClient => {
  const { baseUrl, clientId, clientSecret, refreshToken, now = Date.now, wait = pause } = options
  const { deadlineMs = 30_000, maxResponseBytes = 4 * 1024 * 1024 } = options
  const { account = 'default', limit = noLimit, stopping = new AbortController().signal } = options
  const closing = new AbortController()
  const http = createHttp({ baseUrl, deadlineMs, maxResponseBytes })
  // A call that holds a connection may have to wait for a token, which must not wait for one of those itself.
  const tokenHttp = createHttp({ baseUrl, deadlineMs, maxResponseBytes, connections: 1 })
  const call = createCall({ http, limit, now })
  const tokenCall = createCall({ http: tokenHttp, limit, now })
  const credentials = { clientId, clientSecret, refreshToken }
  const authorizedCall = createAuthorizedCall(
    call,
    createAccessToken({ account, call: tokenCall, credentials, now, signal: closing.signal }),
  )
  return {
    contacts: ({ signal, waitsOut = false, timeoutMs = Infinity, ...query }) => {
      const endsAt = now() + timeoutMs
      const patientCall = waitingOut(authorizedCall, { stopping, wait, leftMs: () => endsAt - now() })
      return readContacts(waitsOut ? patientCall : authorizedCall, {
        ...query,
        signal: AbortSignal.any([signal, closing.signal]),
      })
    },
    close: async () => {
      closing.abort(closedError())
      await Promise.all([http.close(), tokenHttp.close()])
    },
  }
}

/** What is asked of a client that is closed ends with it. */
export const closedError = (): RdStationError =>
  new RdStationError('closed', 'the client was closed', { call: 'RD Station' })
