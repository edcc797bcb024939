import { isDeepStrictEqual } from 'node:util'
import type { RateLimit } from '@esteira/http'
import type { Secrets } from '@esteira/workflow'
import { closedError, createRdStationClient, type RdStationClient, type RdStationClientOptions } from './client.ts'
import type { ContactsPage } from './contacts.ts'
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

/** Which account is meant; the worker's own unless it is named. */
export type AccountQuery = { connection?: string }

/** The account whose credentials are the variables of the worker. */
export const ownAccount = 'default'

/** In small letters, since the variables of two accounts must not differ in that alone. */
export const accountName = /^[a-z0-9](-?[a-z0-9]){0,59}$/

type AccountsOptions = Omit<RdStationClientOptions, keyof Credentials | 'limit'> & {
  /** Of the worker's own account. */
  credentials: Credentials
  /** Where those of the others are: for `acme` in `rdstation-acme-client-id`, `-client-secret` and `-refresh-token`. */
  secrets: Secrets
  limitOf: (account: string) => RateLimit
}

type Account = { credentials: Credentials; client: RdStationClient; readers: number; isCurrent: boolean }

/**
 * Opens an account when it is first read, and keeps its client, so that all its reads share a token. Secrets are read for
 * each read: once they are others, a new client takes the place of the one before, which ends with its last read.
 */
export const openAccounts = (options: AccountsOptions): RdStationAccounts => {
  const { credentials: own, secrets, limitOf, ...ofAll } = options
  const current = new Map<string, Account>()
  const open = new Set<Account>()
  let isClosed = false

  const close = async (account: Account): Promise<void> => {
    open.delete(account)
    await account.client.close()
  }

  const replace = (name: string, credentials: Credentials): Account => {
    const before = current.get(name)
    if (before !== undefined) {
      before.isCurrent = false
      if (before.readers === 0) void close(before)
    }
    const client = createRdStationClient({ ...ofAll, ...credentials, limit: limitOf(name) })
    const account = { credentials, client, readers: 0, isCurrent: true }
    current.set(name, account)
    open.add(account)
    return account
  }

  /** Counts a reader in before anything is waited for, so that nobody closes what it is about to read from. */
  const enter = async (name: string): Promise<Account> => {
    const credentials = name === ownAccount ? own : await credentialsOf(name, secrets)
    if (isClosed) throw closedError()
    const known = current.get(name)
    const isSame = known !== undefined && isDeepStrictEqual(known.credentials, credentials)
    const account = isSame ? known : replace(name, credentials)
    account.readers += 1
    return account
  }

  const leave = async (account: Account): Promise<void> => {
    account.readers -= 1
    if (!account.isCurrent && account.readers === 0) await close(account)
  }

  return {
    contacts: async function* ({ connection = ownAccount, ...query }) {
      const account = await enter(connection)
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

/** One after the other, so that it is always the first missing one that is told. */
const credentialsOf = async (account: string, secrets: Secrets): Promise<Credentials> => ({
  clientId: await secrets(`rdstation-${account}-client-id`),
  clientSecret: await secrets(`rdstation-${account}-client-secret`),
  refreshToken: await secrets(`rdstation-${account}-refresh-token`),
})
