import { pause, type RateLimit } from '@esteira/http'
import { expect, test } from 'vitest'
import { all, answer, contactsPath, setup } from '../../test/a-client.ts'
import type { Contact } from './contacts.ts'

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

test('while the API is slow no more calls take their turn than it has under way', async () => {
  const { limit, asked } = limitOf(0)
  const { client, contacts, rdStation } = await setup({ leads: 8 }, { limit })
  await all(contacts())
  const before = asked()
  rdStation.control.set({ latencyMs: 60_000 })
  const reads = Promise.allSettled(Array.from({ length: 30 }, () => all(contacts())))
  await expect.poll(() => rdStation.control.state().inFlight).toBe(8)
  expect(asked() - before).toBe(8)
  await client.close()
  const ended = await reads
  expect(ended).toEqual(ended.map(() => ({ status: 'rejected', reason: expect.objectContaining({ code: 'closed' }) })))
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
