import { startRdStation, type RdStationOptions } from '@esteira/dev/rd-station'
import { onTestFinished } from 'vitest'
import { createRdStationClient, type RdStationClientOptions } from '../src/rd-station/client.ts'
import type { Contact, ContactsPage } from '../src/rd-station/contacts.ts'
import type { ContactsCursor } from '../src/rd-station/walk.ts'

export const contactsPath = '/platform/segmentations/1/contacts'

/** A client and the stand-in on one clock, which moves when it is told to and whenever the client waits. */
export const setup = async (standIn: RdStationOptions = {}, options: Partial<RdStationClientOptions> = {}) => {
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
export const once = { written: async () => Number.MAX_SAFE_INTEGER, signal: new AbortController().signal }

/** What the pages of a client hold. */
export const contactsIn = async function* (pages: AsyncIterable<ContactsPage>) {
  for await (const { contacts } of pages) yield contacts
}

/** The contacts of all pages. */
export const all = async (pages: AsyncIterable<Contact[]>): Promise<Contact[]> => (await Array.fromAsync(pages)).flat()

/** A contact as the API lists it. */
export const contact = (uuid: string) => ({
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
export const answer = (uuids: string[], total?: number) => ({
  status: 200,
  headers: total === undefined ? {} : { 'pagination-total-rows': String(total) },
  body: { contacts: uuids.map(contact) },
})
