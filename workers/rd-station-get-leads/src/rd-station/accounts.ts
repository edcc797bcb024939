import { isDeepStrictEqual } from 'node:util'
import type { RateLimit } from '@esteira/http'
import type { Secrets } from '@esteira/workflow'
import { closedError, createRdStationClient, type RdStationClient, type RdStationClientOptions } from './client.ts'
import type { ContactsPage } from './contacts.ts'
import { RdStationError } from './errors.ts'
import { trustOf } from './origins.ts'
import type { Credentials } from './token.ts'

/** Accounts of RD Station, each with the client that all its reads share. */
export type RdStationAccounts = {
  /**
   * The contacts of a segmentation of an account, as those of its client.
   *
   * @throws WorkflowError `secret_missing`, for an account whose credentials the worker has not; otherwise as the client.
   */
  contacts: (query: AccountQuery & Parameters<RdStationClient['contacts']>[0]) => AsyncIterable<ContactsPage>
  /** Ends what is under way as `closed` and frees all connections. */
  close: () => Promise<void>
}

/** Which account is meant, and where its API is; the worker's own and its usual place unless they are told. */
export type AccountQuery = { connection?: string | undefined; baseUrl?: string | undefined }

/** The account whose credentials are the variables of the worker. */
export const ownAccount = 'default'

/** In small letters, since the variables of two accounts must not differ in that alone. */
export const accountName = /^[a-z0-9](-?[a-z0-9]){0,59}$/

type AccountsOptions = Omit<RdStationClientOptions, keyof Credentials | 'account' | 'limit'> & {
  /** Of the worker's own account. */
  credentials: Credentials
  /** Where those of the others are: for `acme` in `rdstation-acme-client-id`, `-client-secret` and `-refresh-token`. */
  secrets: Secrets
  limitOf: (account: string) => RateLimit
  /** Addresses of which the origins may be asked as well. */
  origins?: readonly string[]
  /** Clients that are kept for their next read; 500. A payload may name an address of which the path is always another. */
  mostKept?: number
}

/** What a client is for. */
type Place = Required<{ [Key in keyof AccountQuery]: string }>
type Account = { credentials: Credentials; client: RdStationClient; readers: number; isCurrent: boolean }

/**
 * Opens an account when it is first read, and keeps its client, so that all its reads share a token. Secrets are read for
 * each read: once they are others, a new client takes the place of the one before, which ends with its last read.
 */
export const openAccounts = (options: AccountsOptions): RdStationAccounts => {
  const { credentials: own, secrets, limitOf, origins = [], mostKept = 500, ...ofAll } = options
  const isTrusted = trustOf([options.baseUrl, ...origins])
  const current = new Map<string, Account>()
  const open = new Set<Account>()
  let isClosed = false

  const close = async (account: Account): Promise<void> => {
    open.delete(account)
    await account.client.close()
  }

  const retire = (key: string): void => {
    const account = current.get(key)
    if (account === undefined) return
    current.delete(key)
    account.isCurrent = false
    if (account.readers === 0) void close(account)
  }

  const openAt = (key: string, { connection, baseUrl }: Place, credentials: Credentials): Account => {
    retire(key)
    for (const oldest of current.keys()) if (current.size >= mostKept) retire(oldest)
    const client = createRdStationClient({
      ...ofAll,
      ...credentials,
      account: connection,
      baseUrl,
      limit: limitOf(connection),
    })
    const account = { credentials, client, readers: 0, isCurrent: true }
    open.add(account)
    return account
  }

  /** Counts a reader in before anybody else has a turn, so that nobody closes what it is about to read from. */
  const enter = async (place: Place): Promise<Account> => {
    const { connection, baseUrl } = place
    if (!isTrusted(baseUrl)) throw notTrusted(baseUrl)
    const credentials = connection === ownAccount ? own : await credentialsOf(connection, secrets)
    if (isClosed) throw closedError()
    const key = JSON.stringify([connection, baseUrl])
    const known = current.get(key)
    const isSame = known !== undefined && isDeepStrictEqual(known.credentials, credentials)
    const account = isSame ? known : openAt(key, place, credentials)
    account.readers += 1
    // Behind all others: the first one is always that which nobody has read for longest.
    current.delete(key)
    current.set(key, account)
    return account
  }

  const leave = async (account: Account): Promise<void> => {
    account.readers -= 1
    if (!account.isCurrent && account.readers === 0) await close(account)
  }

  return {
    contacts: async function* ({ connection = ownAccount, baseUrl = options.baseUrl, ...query }) {
      const account = await enter({ connection, baseUrl })
      try {
        yield* account.client.contacts(query)
      } finally {
        await leave(account)
      }
    },
    close: async () => {
      isClosed = true
      await Promise.all([...open].map(close))
    },
  }
}

/** Only its origin is told: the rest of an address may be a secret of somebody. */
const notTrusted = (baseUrl: string): RdStationError => {
  const fault = `the credentials of an account do not go to ${new URL(baseUrl).origin}`
  const trusted = 'which is neither that of RDSTATION_BASE_URL, nor in ESTEIRA_RDSTATION_ORIGINS, nor this machine'
  return new RdStationError('origin_refused', `${fault}, ${trusted}`, { call: 'config.baseUrl' })
}

/** Until they are twice the same: they are replaced one by one, and some of before with some of after are nobody's. */
const credentialsOf = async (account: string, secrets: Secrets): Promise<Credentials> => {
  let read = await readCredentials(account, secrets)
  for (let times = 1; times < mostReads; times += 1) {
    const again = await readCredentials(account, secrets)
    if (isDeepStrictEqual(read, again)) return again
    read = again
  }
  return read
}

const mostReads = 5

/** One after the other, so that it is always the first missing one that is told. */
const readCredentials = async (account: string, secrets: Secrets): Promise<Credentials> => ({
  clientId: await secrets(`rdstation-${account}-client-id`),
  clientSecret: await secrets(`rdstation-${account}-client-secret`),
  refreshToken: await secrets(`rdstation-${account}-refresh-token`),
})
