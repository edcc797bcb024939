import type { RateLimit } from '@esteira/http'
import { expect, test } from 'vitest'
import { all, contactsIn, contactsPath, once, setup } from '../../test/a-client.ts'
import type { Contact } from './contacts.ts'

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

test('a token that runs out while every connection is held by a call that waits for its turn is renewed', async () => {
  const waiting: (() => void)[] = []
  let isFull = false
  const limit: RateLimit = {
    take: async () => {
      if (isFull) await new Promise<void>((resolve) => waiting.push(resolve))
      return { kind: 'now' }
    },
    slowDown: async () => {},
  }
  const { clock, contacts, requests } = await setup({ leads: 8 }, { limit })
  await all(contacts())
  isFull = true
  const reads = Array.from({ length: 10 }, () => all(contacts()))
  await expect.poll(() => waiting.length).toBe(8)
  isFull = false
  clock.now += 86_100_000
  for (const go of waiting) go()
  expect((await Promise.all(reads)).map(({ length }) => length)).toEqual(reads.map(() => 8))
  expect(requests('/auth/token')).toEqual({ 200: 2 })
  expect(requests(contactsPath)).toEqual({ 200: 11 })
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
