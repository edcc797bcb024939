import { startRdStation } from '@esteira/dev/rd-station'
import { expect, onTestFinished, test } from 'vitest'
import { openAccounts } from './accounts.ts'
import type { Contact } from './contacts.ts'
import { noLimit } from './limit.ts'

const contactsPath = '/platform/segmentations/1/contacts'

/** An API that knows the account acme, and a worker with other credentials of its own and with `secrets`. */
const setup = async (secrets: Record<string, string> = ofAcme) => {
  const credentials = { clientId: 'acme-id', clientSecret: 'acme-secret', refreshToken: 'acme-token' }
  const rdStation = await startRdStation({ leads: 38, credentials })
  onTestFinished(rdStation.stop)
  const limits: string[] = []
  const accounts = openAccounts({
    baseUrl: rdStation.url,
    credentials: { clientId: 'own-id', clientSecret: 'own-secret', refreshToken: 'own-token' },
    secrets: async (name) => {
      const value = secrets[name]
      if (value === undefined) throw new Error(`no secret ${name}`)
      return value
    },
    limitOf: (account) => {
      limits.push(account)
      return noLimit
    },
  })
  onTestFinished(accounts.close)
  const pages = (connection?: string) =>
    accounts.contacts({
      segmentationId: 1,
      pageSize: 10,
      written: async () => Number.MAX_SAFE_INTEGER,
      signal: new AbortController().signal,
      ...(connection !== undefined && { connection }),
    })
  const read = async (connection?: string): Promise<Contact[]> =>
    (await Array.fromAsync(pages(connection))).flatMap(({ contacts }) => contacts)
  const requests = (path: string) => rdStation.control.state().requests[path] ?? {}
  return { accounts, credentials, limits, pages, rdStation, read, requests, secrets }
}

const ofAcme = {
  'rdstation-acme-client-id': 'acme-id',
  'rdstation-acme-client-secret': 'acme-secret',
  'rdstation-acme-refresh-token': 'acme-token',
}

test('an account that is named is read with its own secrets, and none with the credentials of the worker', async () => {
  const { read, limits } = await setup()
  expect(await read('acme')).toHaveLength(38)
  await expect(read()).rejects.toMatchObject({ code: 'unauthorized' })
  await expect(read('default')).rejects.toMatchObject({ code: 'unauthorized' })
  expect(limits).toEqual(['acme', 'default'])
})

test('all reads of an account share its token and its limit', async () => {
  const { read, limits, requests } = await setup()
  await Promise.all(Array.from({ length: 8 }, () => read('acme')))
  await read('acme')
  expect(requests('/auth/token')).toEqual({ 200: 1 })
  expect(limits).toEqual(['acme'])
})

test.each(['client-id', 'client-secret', 'refresh-token'])(
  'without the secret %s of an account nothing is asked for it, and the read fails with what the secrets say',
  async (missing) => {
    const name = `rdstation-acme-${missing}`
    const { read, rdStation } = await setup(Object.fromEntries(Object.entries(ofAcme).filter(([one]) => one !== name)))
    await expect(read('acme')).rejects.toThrow(`no secret ${name}`)
    expect(rdStation.control.state().requests).toEqual({})
  },
)

test('secrets that are others hold from the next read on, and a read under way ends as it began', async () => {
  const { credentials, pages, read, requests, secrets } = await setup({ ...ofAcme })
  const before = pages('acme')[Symbol.asyncIterator]()
  const first = await before.next()
  expect(first.value?.contacts).toHaveLength(10)
  credentials.refreshToken = 'acme-token-of-today'
  secrets['rdstation-acme-refresh-token'] = 'acme-token-of-today'
  expect(await read('acme')).toHaveLength(38)
  expect(requests('/auth/token')).toEqual({ 200: 2 })
  const rest = []
  for (let next = await before.next(); next.done !== true; next = await before.next()) {
    rest.push(...next.value.contacts)
  }
  expect(rest).toHaveLength(28)
  expect(requests(contactsPath)).toEqual({ 200: 8 })
})

test('closing ends the reads of all accounts as closed, and so ends what is asked for afterwards', async () => {
  const ofGlobex = Object.entries(ofAcme).map(([name, value]) => [name.replace('acme', 'globex'), value])
  const { accounts, rdStation, read } = await setup({ ...ofAcme, ...Object.fromEntries(ofGlobex) })
  rdStation.control.set({ latencyMs: 60_000 })
  const reads = ['acme', undefined].map((name) => read(name))
  const ended = Promise.allSettled(reads)
  await expect.poll(() => rdStation.control.state().inFlight).toBe(2)
  await accounts.close()
  const closed = { status: 'rejected', reason: { code: 'closed' } }
  expect(await ended).toMatchObject([closed, closed])
  for (const name of ['acme', 'globex']) {
    await expect(read(name)).rejects.toMatchObject({ code: 'closed', final: false })
  }
})
