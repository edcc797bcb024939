import { startRdStation, type RdStationOptions } from '@esteira/dev/rd-station'
import { pause, type RateLimit } from '@esteira/http'
import { expect, onTestFinished, test } from 'vitest'
import { createRdStationClient, type RdStationClientOptions } from './client.ts'
import type { Contact, ContactsPage } from './contacts.ts'
import type { ContactsCursor } from './walk.ts'

const contactsPath = '/platform/segmentations/1/contacts'

/** A client and the stand-in on one clock, which moves when it is told to and whenever the client waits. */
const setup = async (standIn: RdStationOptions = {}, options: Partial<RdStationClientOptions> = {}) => {
  const clock = { now: Date.UTC(2026, 0, 1) }
  const now = () => clock.now
  const rdStation = await startRdStation({ rateLimitPerMinute: null, now, ...standIn })
  onTestFinished(rdStation.stop)
  const waits: number[] = []
  const wait = async (ms: number) => {
    waits.push(ms)
    clock.now += ms
  }
  const client = createRdStationClient({ baseUrl: rdStation.url, ...rdStation.credentials, now, wait, ...options })
  onTestFinished(client.close)
  const contacts = (
    query: { pageSize?: number; after?: ContactsCursor; waitsOut?: boolean; timeoutMs?: number } = {},
  ) => contactsIn(client.contacts({ ...once, segmentationId: 1, pageSize: 10, ...query }))
  const requests = (path: string) => rdStation.control.state().requests[path] ?? {}
  return { clock, client, contacts, rdStation, requests, waits }
}

/** Nobody comes twice, and nobody gives up, in a test that is not about that. */
const once = { written: async () => Number.MAX_SAFE_INTEGER, signal: new AbortController().signal }

const contactsIn = async function* (pages: AsyncIterable<ContactsPage>) {
  for await (const { contacts } of pages) yield contacts
}

const all = async (pages: AsyncIterable<Contact[]>): Promise<Contact[]> => (await Array.fromAsync(pages)).flat()

const contact = (uuid: string) => ({
  uuid,
  name: 'Ana Souza',
  email: `${uuid}@example.com`,
  last_conversion_date: '2026-01-01T00:00:00.000-03:00',
  created_at: '2026-01-01T00:00:00.000-03:00',
  links: [
    { rel: 'SELF', href: `https://api.rd.services/platform/contacts/${uuid}`, media: 'application/json', type: 'GET' },
  ],
})

/** A page prepared for the stand-in, with or without the total of its segmentation. */
const answer = (uuids: string[], total?: number) => ({
  status: 200,
  headers: total === undefined ? {} : { 'pagination-total-rows': String(total) },
  body: { contacts: uuids.map(contact) },
})

test('every contact is read once, in pages, and the first that is not full is the last', async () => {
  const { contacts, requests } = await setup({ leads: 240 })
  const pages = await Array.fromAsync(contacts({ pageSize: 125 }))
  expect(pages.map(({ length }) => length)).toEqual([125, 115])
  expect(new Set(pages.flat().map(({ uuid }) => uuid)).size).toBe(240)
  expect(requests(contactsPath)).toEqual({ 200: 2 })
})

test('a contact has the fields of the API, and others pass through', async () => {
  const { contacts, rdStation } = await setup()
  const extra = { ...contact('a'), name: null, last_conversion_date: null, cf_plan: 'gold', tags: ['x'] }
  rdStation.control.set({ failNext: [{ status: 200, body: { contacts: [extra] } }] })
  expect(await all(contacts())).toEqual([extra])
})

test('a uuid in large letters is the same as in small ones, in which it goes on; what is none stays as it is', async () => {
  const { contacts, rdStation } = await setup()
  const uuids = ['0D5A6F10-ABCD-4CDE-8F01-23456789ABCD', '0D5A6F10-ABCD']
  rdStation.control.set({ failNext: [answer(uuids)] })
  expect((await all(contacts())).map(({ uuid }) => uuid)).toEqual([uuids[0]?.toLowerCase(), uuids[1]])
})

test('an empty segmentation gives no page', async () => {
  const { contacts, requests } = await setup({ leads: 0 })
  expect(await Array.fromAsync(contacts())).toEqual([])
  expect(requests(contactsPath)).toEqual({ 200: 1 })
})

test('contacts that are added while pages are read are read as well', async () => {
  const { contacts, rdStation } = await setup({ leads: 20 })
  const pages: Contact[][] = []
  for await (const page of contacts()) {
    pages.push(page)
    if (pages.length === 1) rdStation.control.set({ leads: 35 })
  }
  expect(pages.map(({ length }) => length)).toEqual([10, 10, 10, 5])
})

test.each<[string, ReturnType<typeof answer>[], string]>([
  ['says less than a page holds', [answer(['a', 'b'], 1)], 'page=1&page_size=2: 2 contacts came, where a total of 1 '],
  [
    'ends with a full page, and another comes',
    [answer(['a', 'b'], 2), answer(['c', 'd'], 2)],
    'page=2&page_size=2: 2 contacts came, where a total of 2 ',
  ],
  [
    'promises more than a page that is not full',
    [answer(['a', 'b'], 9), answer(['c'], 9)],
    'page=2&page_size=2: 1 contacts came, where a total of 9 ',
  ],
  ['promises contacts and none come', [answer([], 9)], 'page=1&page_size=2: 0 contacts came, where a total of 9 '],
  [
    'came with a page before promises more than one without it',
    [answer(['a', 'b'], 9), answer(['c'])],
    'page=2&page_size=2: 1 contacts came, where a total of 9, told with a page before, leaves 2 ',
  ],
])('a total that %s, and again, fails the read for now', async (_, answers, message) => {
  const { contacts, rdStation, requests } = await setup()
  const lie = answers.at(-1) ?? answer([])
  rdStation.control.set({ failNext: [...answers.slice(0, -1), { ...lie, times: 2 }] })
  await expect(all(contacts({ pageSize: 2 }))).rejects.toMatchObject({
    code: 'contradictory_total',
    final: false,
    message: expect.stringContaining(message),
  })
  expect(requests(contactsPath)).toEqual({ 200: answers.length + 1 })
})

test('a page that contradicts its total once was counted as a contact came or went, and is asked for again', async () => {
  const { contacts, rdStation } = await setup()
  rdStation.control.set({ failNext: [answer(['a'], 2), answer(['a', 'b'], 3), answer(['c'], 3)] })
  expect((await all(contacts({ pageSize: 2 }))).map(({ uuid }) => uuid)).toEqual(['a', 'b', 'c'])
})

test('a read goes on behind a cursor', async () => {
  const { client } = await setup({ leads: 28 })
  const query = { ...once, segmentationId: 1, pageSize: 10 }
  const [first] = await firstOf(client.contacts(query))
  expect(first?.cursor).toMatchObject({ page: 2, pass: 1, given: 10, total: 28 })
  const rest = await Array.fromAsync(client.contacts({ ...query, after: first?.cursor ?? null }))
  expect(rest.map(({ contacts }) => contacts.length)).toEqual([10, 8])
})

test('while a page is taken the next one is read, and no more', async () => {
  const { client, rdStation, requests } = await setup({ leads: 100 })
  for await (const _ of client.contacts({ ...once, segmentationId: 1, pageSize: 10 })) {
    await expect.poll(() => requests(contactsPath)).toEqual({ 200: 2 })
    for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate)
    expect([requests(contactsPath), rdStation.control.state().inFlight]).toEqual([{ 200: 2 }, 0])
    break
  }
})

test('who takes no more pages ends the call for the next one', async () => {
  const { client, rdStation, requests } = await setup({ leads: 100, latencyMs: 1_000 })
  for await (const _ of client.contacts({ ...once, segmentationId: 1, pageSize: 10 })) {
    await expect.poll(() => rdStation.control.state().inFlight).toBe(1)
    break
  }
  await expect.poll(() => requests(contactsPath)).toEqual({ 200: 1, gone: 1 })
})

const firstOf = async (pages: AsyncIterable<ContactsPage>): Promise<ContactsPage[]> => {
  for await (const page of pages) return [page]
  return []
}

test('without a total the first page that is not full is the last', async () => {
  const { contacts, rdStation } = await setup()
  rdStation.control.set({ failNext: [answer(['a', 'b']), answer(['c'])] })
  expect(await all(contacts({ pageSize: 2 }))).toHaveLength(3)
})

test('without a total a server that repeats one page for ever is an error, not an endless read', async () => {
  const { contacts, rdStation } = await setup()
  rdStation.control.set({ failNext: [{ ...answer(['a', 'b']), times: 9 }] })
  await expect(all(contacts({ pageSize: 2 }))).rejects.toMatchObject({
    code: 'unexpected_shape',
    call: `GET ${contactsPath}?page=2&page_size=2`,
  })
})

test('reads at the same time share one access token', async () => {
  const { contacts, requests } = await setup({ leads: 30 })
  const reads = await Promise.all(Array.from({ length: 8 }, () => all(contacts())))
  expect(reads.map(({ length }) => length)).toEqual(Array.from({ length: 8 }, () => 30))
  expect(requests('/auth/token')).toEqual({ 200: 1 })
})

test('a token that runs out in the middle is renewed, and no page is lost', async () => {
  const { contacts, rdStation, requests } = await setup({ leads: 48 })
  const read: Contact[] = []
  for await (const page of contacts()) {
    read.push(...page)
    if (read.length === 20) rdStation.control.expireTokens()
  }
  expect(new Set(read.map(({ uuid }) => uuid)).size).toBe(48)
  expect(requests(contactsPath)).toEqual({ 200: 5, 401: 1 })
  expect(requests('/auth/token')).toEqual({ 200: 2 })
})

test('reads at the same time that are all refused renew the token once', async () => {
  const { contacts, rdStation, requests } = await setup({ leads: 20 })
  await all(contacts())
  rdStation.control.expireTokens()
  await Promise.all(Array.from({ length: 8 }, () => all(contacts())))
  expect(requests('/auth/token')).toEqual({ 200: 2 })
})

test('a token is renewed five minutes before its end, so that nobody is refused', async () => {
  const { clock, contacts, requests } = await setup({ leads: 8 })
  await all(contacts())
  clock.now += 86_100_000 - 1
  await all(contacts())
  expect(requests('/auth/token')).toEqual({ 200: 1 })
  clock.now += 1
  await all(contacts())
  expect(requests('/auth/token')).toEqual({ 200: 2 })
  expect(requests(contactsPath)).toEqual({ 200: 3 })
})

test('a token with a short life is used for most of it', async () => {
  const { clock, contacts, requests } = await setup({ leads: 10, tokenTtlSeconds: 10 })
  await all(contacts())
  clock.now += 8_999
  await all(contacts())
  expect(requests('/auth/token')).toEqual({ 200: 1 })
  clock.now += 1
  await all(contacts())
  expect(requests('/auth/token')).toEqual({ 200: 2 })
})

test('a token that would run out while its call waits for a turn is renewed before it is sent', async () => {
  const clock = { now: Date.UTC(2026, 0, 1) }
  const limit: RateLimit = {
    take: async () => {
      clock.now += 14_000
      return { kind: 'now' }
    },
    slowDown: async () => {},
  }
  const now = () => clock.now
  const { contacts, requests } = await setup({ leads: 28, tokenTtlSeconds: 10, now }, { limit, now })
  expect(await all(contacts())).toHaveLength(28)
  expect(requests(contactsPath)).toEqual({ 200: 3 })
})

test('an aborted read ends at once, without ending the renewal that others wait for', async () => {
  const { client, rdStation, requests } = await setup({ leads: 10, latencyMs: 500 })
  const cancel = new AbortController()
  const reason = new Error('cancelled')
  const query = { ...once, segmentationId: 1, pageSize: 10 }
  const aborted = all(contactsIn(client.contacts({ ...query, signal: cancel.signal })))
  const other = all(contactsIn(client.contacts(query)))
  await expect.poll(() => rdStation.control.state().inFlight).toBe(1)
  cancel.abort(reason)
  await expect(aborted).rejects.toBe(reason)
  expect(requests('/auth/token')).toEqual({})
  expect(await other).toHaveLength(10)
  expect(requests('/auth/token')).toEqual({ 200: 1 })
})

test('a 429 ends a read that can go on behind its last page, and says when', async () => {
  const { contacts, rdStation, waits } = await setup()
  rdStation.control.set({ failNext: [answer(['a', 'b'], 5), { status: 429, retryAfter: 40 }] })
  const pages: Contact[][] = []
  const read = async () => {
    for await (const page of contacts({ pageSize: 2 })) pages.push(page)
  }
  await expect(read()).rejects.toMatchObject({
    code: 'throttled',
    final: false,
    status: 429,
    retryAfterMs: 40_000,
    message: `GET ${contactsPath}?page=2&page_size=2: answered 429 RATE_LIMIT_EXCEDDED, to be tried again after 40000 ms`,
  })
  expect(pages).toHaveLength(1)
  expect(waits).toEqual([])
})

/** A limit that has no turn for so many calls, and hears what it is slowed down by. */
const limitOf = (refusals: number) => {
  const slowed: number[] = []
  let asked = 0
  const limit: RateLimit = {
    take: async () => (asked++ < refusals ? { kind: 'later', waitMs: 30_000 } : { kind: 'now' }),
    slowDown: async (ms) => {
      slowed.push(ms)
    },
  }
  return { limit, slowed, asked: () => asked }
}

test('each call takes a turn of the account, also one for a token, and a 429 slows down all who use it', async () => {
  const { limit, slowed, asked } = limitOf(0)
  const { contacts, rdStation } = await setup({ leads: 18 }, { limit })
  rdStation.control.set({ failNext: [{ status: 429, retryAfter: 7 }] })
  expect(await all(contacts({ waitsOut: true }))).toHaveLength(18)
  expect(slowed).toEqual([7_000])
  // A token, a refused page, and two.
  expect(asked()).toBe(4)
})

test('a turn that is far off ends a read that can go on, and is waited for by one that would begin anew', async () => {
  const { contacts, requests, waits } = await setup({ leads: 8 }, { limit: limitOf(2).limit })
  await expect(all(contacts())).rejects.toMatchObject({
    code: 'throttled',
    retryAfterMs: 30_000,
    message: 'POST /auth/token: the account has room for another call in 30000 ms',
  })
  expect(requests('/auth/token')).toEqual({})
  expect(await all(contacts({ waitsOut: true }))).toHaveLength(8)
  expect(waits).toHaveLength(1)
  expect(waits[0]).toBeGreaterThanOrEqual(30_000)
})

test('without its limit an account is not called', async () => {
  const limit = { take: () => Promise.reject(new Error('connect ECONNREFUSED')), slowDown: async () => {} }
  const { contacts, requests } = await setup({ leads: 8 }, { limit })
  await expect(all(contacts())).rejects.toMatchObject({
    code: 'no_turn',
    final: false,
    message: 'POST /auth/token: the limit of calls cannot be read: connect ECONNREFUSED',
  })
  expect(requests('/auth/token')).toEqual({})
})

test('a 429 that cannot be told to the others is put off all the same, and burns no attempt', async () => {
  const limit: RateLimit = {
    take: async () => ({ kind: 'now' }),
    slowDown: () => Promise.reject(new Error('connect ECONNREFUSED')),
  }
  const { contacts, rdStation } = await setup({ leads: 8 }, { limit })
  rdStation.control.set({ failNext: [{ status: 429, retryAfter: 7 }] })
  await expect(all(contacts())).rejects.toMatchObject({ code: 'throttled', retryAfterMs: 7_000 })
})

test('a storm of 429 is waited out by a read that would have to begin anew', async () => {
  const { contacts, requests, waits } = await setup({ leads: 995, rateLimitPerMinute: 30 })
  const read = await all(contacts({ waitsOut: true }))
  expect(new Set(read.map(({ uuid }) => uuid)).size).toBe(995)
  expect(read).toHaveLength(995)
  // 100 pages at 30 a window: the fourth window ends it, and each window but the last refuses one call.
  expect(requests(contactsPath)).toEqual({ 200: 100, 429: 3 })
  expect(waits.every((ms) => ms >= 60_000 && ms <= 61_000)).toBe(true)
})

test.each([
  ['seconds', '7', 7_000],
  ['an HTTP date', 'Thu, 01 Jan 2026 00:00:20 GMT', 20_000],
  ['no time at all', '0', 1_000],
  ['nonsense', 'soon', 60_000],
])('a 429 that asks for %s is waited out', async (_, retryAfter, least) => {
  const { contacts, rdStation, waits } = await setup({ leads: 8 })
  rdStation.control.set({ failNext: [{ status: 429, retryAfter }] })
  expect(await all(contacts({ waitsOut: true }))).toHaveLength(8)
  expect(waits).toHaveLength(1)
  expect(waits[0]).toBeGreaterThanOrEqual(least)
  expect(waits[0]).toBeLessThanOrEqual(least + 1_000)
})

test('a 429 is waited out only where that fits into the time of the read, else it ends it and says when', async () => {
  const { contacts, rdStation, waits } = await setup({ leads: 8 })
  const failNext = [{ status: 429, retryAfter: 40 }]
  rdStation.control.set({ failNext })
  await expect(all(contacts({ waitsOut: true, timeoutMs: 41_000 }))).rejects.toMatchObject({
    code: 'throttled',
    retryAfterMs: 40_000,
  })
  expect(waits).toEqual([])
  rdStation.control.set({ failNext })
  expect(await all(contacts({ waitsOut: true, timeoutMs: 60_000 }))).toHaveLength(8)
  rdStation.control.set({ failNext: [{ status: 429, retryAfter: 40, times: 2 }] })
  await expect(all(contacts({ waitsOut: true, timeoutMs: 60_000 })), 'of both together').rejects.toMatchObject({
    code: 'throttled',
  })
})

test('a 429 for the token is waited out as well', async () => {
  const { contacts, rdStation, waits } = await setup({ leads: 8 })
  rdStation.control.set({ failNext: [{ status: 429, on: 'token', retryAfter: 3 }] })
  expect(await all(contacts({ waitsOut: true }))).toHaveLength(8)
  expect(waits).toHaveLength(1)
})

test('a 503 that says when it is over slows down all who use the account, and is waited out; another is not', async () => {
  const { limit, slowed } = limitOf(0)
  const { contacts, rdStation, requests, waits } = await setup({ leads: 8 }, { limit })
  rdStation.control.set({
    failNext: [
      { status: 503, on: 'token', retryAfter: 40 },
      { status: 503, retryAfter: 90 },
    ],
  })
  expect(await all(contacts({ waitsOut: true }))).toHaveLength(8)
  expect(slowed).toEqual([40_000, 90_000])
  expect(waits.map((ms) => Math.floor(ms / 10_000))).toEqual([4, 9])
  expect(requests(contactsPath)).toEqual({ 200: 1, 503: 1 })
  rdStation.control.set({ failNext: [{ status: 503 }] })
  await expect(all(contacts({ waitsOut: true }))).rejects.toMatchObject({ code: 'unavailable' })
  expect(slowed).toHaveLength(2)
})

test('an account is not left alone for longer than an hour, whatever a 429 asks for', async () => {
  const { limit, slowed } = limitOf(0)
  const { contacts, rdStation, waits } = await setup({ leads: 8 }, { limit })
  rdStation.control.set({ failNext: [{ status: 429, retryAfter: 99_999_999_999 }] })
  expect(await all(contacts({ waitsOut: true }))).toHaveLength(8)
  expect(slowed).toEqual([3_600_000])
  expect(waits[0]).toBeLessThanOrEqual(3_601_000)
})

test('a wait for the rate limit is given up when the worker stops, and none is begun after that', async () => {
  const stopping = new AbortController()
  const waiting = Promise.withResolvers<void>()
  const wait = (ms: number, signal: AbortSignal) => {
    waiting.resolve()
    return pause(ms, signal)
  }
  const { contacts, rdStation } = await setup({ leads: 18 }, { stopping: stopping.signal, wait })
  const throttled = { code: 'throttled', retryAfterMs: 40_000 }
  rdStation.control.set({ failNext: [{ status: 429, retryAfter: 40, times: 2 }] })
  const read = all(contacts({ waitsOut: true }))
  await waiting.promise
  stopping.abort()
  await expect(read).rejects.toMatchObject(throttled)
  await expect(all(contacts({ waitsOut: true }))).rejects.toMatchObject(throttled)
  expect(await all(contacts({ waitsOut: true })), 'what needs no wait').toHaveLength(18)
})
