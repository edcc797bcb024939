import { expect, test } from 'vitest'
import { all, answer, contact, contactsPath, once, setup } from '../../test/a-client.ts'
import type { Contact, ContactsPage } from './contacts.ts'

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
  rdStation.control.set({ failNext: [{ ...answer(['a'], 1), body: { contacts: [extra] } }] })
  expect(await all(contacts())).toEqual([extra])
})

test('a number of a contact that would be another one here goes on as its text, with all its digits', async () => {
  const { contacts, rdStation } = await setup()
  const body = '{"contacts":[{"uuid":"a","cf_id":9007199254740993,"cf_rate":[0.12345678901234567890,1.5]}]}'
  rdStation.control.set({ failNext: [{ ...answer(['a'], 1), body }] })
  expect(await all(contacts())).toEqual([
    { uuid: 'a', cf_id: '9007199254740993', cf_rate: ['0.12345678901234567890', 1.5] },
  ])
})

test('a uuid in large letters is the same as in small ones, in which it goes on; what is none stays as it is', async () => {
  const { contacts, rdStation } = await setup()
  const uuids = ['0D5A6F10-ABCD-4CDE-8F01-23456789ABCD', '0D5A6F10-ABCD']
  rdStation.control.set({ failNext: [answer(uuids, 2)] })
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

test('of a contact only the uuid is looked at: one that is odd ends no read, and goes on as it came', async () => {
  const { contacts, rdStation } = await setup()
  const odd = { uuid: 'b', name: 7, email: ['x'], last_conversion_date: 0, created_at: {}, links: [{ href: null }] }
  rdStation.control.set({
    failNext: [{ ...answer(['a', 'b'], 3), body: { contacts: [contact('a'), odd] } }, answer(['c'], 3)],
  })
  expect(await all(contacts({ pageSize: 2 }))).toEqual([contact('a'), odd, contact('c')])
})

test('without a total the read goes on behind a page that is not full, until one is empty', async () => {
  const { contacts, rdStation, requests } = await setup()
  rdStation.control.set({ failNext: [answer(['a', 'b']), answer(['c']), answer(['d', 'e']), answer([])] })
  expect((await all(contacts({ pageSize: 2 }))).map(({ uuid }) => uuid)).toEqual(['a', 'b', 'c', 'd', 'e'])
  expect(requests(contactsPath)).toEqual({ 200: 4 })
})

test('without a total a server that gives its last page again has no more', async () => {
  const { contacts, rdStation, requests } = await setup()
  rdStation.control.set({ failNext: [answer(['a', 'b']), { ...answer(['c']), times: 9 }] })
  expect(await all(contacts({ pageSize: 2 }))).toHaveLength(3)
  expect(requests(contactsPath)).toEqual({ 200: 3 })
})

test('without a total a server that repeats one page for ever is an error, not an endless read', async () => {
  const { contacts, rdStation } = await setup()
  rdStation.control.set({ failNext: [{ ...answer(['a', 'b']), times: 9 }] })
  await expect(all(contacts({ pageSize: 2 }))).rejects.toMatchObject({
    code: 'unexpected_shape',
    call: `GET ${contactsPath}?page=2&page_size=2`,
  })
})
