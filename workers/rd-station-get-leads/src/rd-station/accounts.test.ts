import { startRdStation } from '@esteira/dev/rd-station'
import { expect, onTestFinished, test } from 'vitest'
import { type AccountQuery, openAccounts } from './accounts.ts'
import type { Contact } from './contacts.ts'
import { noLimit } from './limit.ts'

const contactsPath = '/platform/segmentations/1/contacts'

/** An API that knows the account acme, and a worker with other credentials of its own and with `secrets`. */
const setup = async (secrets: Record<string, string> = ofAcme, options: { mostKept?: number } = {}) => {
  const credentials = { clientId: 'acme-id', clientSecret: 'acme-secret', refreshToken: 'acme-token' }
  const rdStation = await startRdStation({ leads: 38, credentials })
  onTestFinished(rdStation.stop)
  const limits: string[] = []
  const asked: string[] = []
  const accounts = openAccounts({
    baseUrl: rdStation.url,
    credentials: { clientId: 'own-id', clientSecret: 'own-secret', refreshToken: 'own-token' },
    secrets: async (name) => {
      asked.push(name)
      const value = secrets[name]
      if (value === undefined) throw new Error(`no secret ${name}`)
      return value
    },
    limitOf: (account) => {
      limits.push(account)
      return noLimit
    },
    ...options,
  })
  onTestFinished(accounts.close)
  const pages = (connection?: string, place: Pick<AccountQuery, 'baseUrl'> = {}) =>
    accounts.contacts({
      segmentationId: 1,
      pageSize: 10,
      written: async () => Number.MAX_SAFE_INTEGER,
      signal: new AbortController().signal,
      connection,
      ...place,
    })
  const read = async (...where: Parameters<typeof pages>): Promise<Contact[]> =>
    (await Array.fromAsync(pages(...where))).flatMap(({ contacts }) => contacts)
  const requests = (path: string) => rdStation.control.state().requests[path] ?? {}
  return { accounts, asked, credentials, limits, pages, rdStation, read, requests, secrets }
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

test('credentials that are replaced while they are read are all of after that, not some of each', async () => {
  const replaced = { ...ofAcme }
  let reads = 0
  Object.defineProperty(replaced, 'rdstation-acme-client-id', { get: () => (reads++ === 0 ? 'old-id' : 'acme-id') })
  const { read } = await setup(replaced)
  expect(await read('acme')).toHaveLength(38)
})

test('credentials go to no origin but those that are trusted: not even a secret is read for another', async () => {
  const { asked, limits, read, rdStation } = await setup()
  for (const connection of ['acme', 'default']) {
    await expect(read(connection, { baseUrl: 'https://user:hidden@api.example/?token=hidden' })).rejects.toMatchObject({
      code: 'origin_refused',
      final: true,
      message:
        'config.baseUrl: the credentials of an account do not go to https://api.example, which is neither that of ' +
        'RDSTATION_BASE_URL, nor in ESTEIRA_RDSTATION_ORIGINS, nor this machine',
    })
  }
  expect([asked, limits, rdStation.control.state().requests]).toEqual([[], [], {}])
})

test('an account at another address has a token of its own there, and the same limit', async () => {
  const { credentials, limits, read, requests } = await setup()
  const elsewhere = await startRdStation({ leads: 12, credentials })
  onTestFinished(elsewhere.stop)
  for (let times = 0; times < 2; times += 1) {
    expect(await read('acme')).toHaveLength(38)
    expect(await read('acme', { baseUrl: elsewhere.url })).toHaveLength(12)
  }
  expect(requests('/auth/token')).toEqual({ 200: 1 })
  expect(elsewhere.control.state().requests['/auth/token']).toEqual({ 200: 1 })
  expect(limits).toEqual(['acme', 'acme'])
})

test('of very many addresses only the last are kept, and no read under way is ended for that', async () => {
  const { pages, read, requests, rdStation } = await setup(ofAcme, { mostKept: 2 })
  const reading = pages('acme')[Symbol.asyncIterator]()
  expect((await reading.next()).value?.contacts).toHaveLength(10)
  for (const path of ['a', 'b', 'c']) {
    await expect(read('acme', { baseUrl: `${rdStation.url}/${path}` })).rejects.toMatchObject({ code: 'not_found' })
  }
  let more = 0
  while ((await reading.next()).done !== true) more += 1
  expect(more).toBe(3)
  expect(requests('/auth/token')).toEqual({ 200: 1 })
  await read('acme')
  expect(requests('/auth/token')).toEqual({ 200: 2 })
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
