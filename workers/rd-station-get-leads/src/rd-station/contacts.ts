import { z } from 'zod'
import type { AuthorizedCall } from './authorized-call.ts'
import { RdStationError } from './errors.ts'
import { callName, promised } from './reply.ts'
import { behindPage, behindPass, blinded, type ContactsCursor, isEndless, isPaid, theBeginning } from './walk.ts'

const isUuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i

const contact = z.looseObject({
  // In large letters it is the same contact, which would be given a second time.
  uuid: z
    .string()
    .min(1)
    .transform((uuid) => (isUuid.test(uuid) ? uuid.toLowerCase() : uuid)),
})

/**
 * A contact as RD Station lists it in a segmentation. Only the uuid is needed here; what else is there is for the steps
 * that follow, and passed through whatever it is: one contact that is odd must not end each read at its page.
 */
export type Contact = z.output<typeof contact>

export type ContactsQuery = {
  segmentationId: number
  /** The API gives at most 125. */
  pageSize: number
  /** Where to go on, with the same page size; at the beginning without it. */
  after?: ContactsCursor | null
  /** How many different contacts there are of those that were given so far, in all attempts. */
  written: () => Promise<number>
  /** Whether a contact is given at all; all are without it. */
  isWanted?: ((contact: Contact) => boolean) | undefined
  signal: AbortSignal
}

/** Contacts, if any of the page are wanted, and the place behind it. */
export type ContactsPage = { contacts: Contact[]; cursor: ContactsCursor }

/** Contacts of a read that are told apart in memory, 100 bytes each, where not all of them are given. */
const mostSeen = 20_000

/**
 * Reads the contacts of a segmentation, page by page, until one is not full. How many there are is told with each page by
 * `pagination-total-rows`; it never ends a read, since one that is too small would cut it short, but a page that is not
 * what its own total leaves for it is asked for again, and fails the read if that goes on. Where no total is told nobody
 * knows whether a page that is not full is the last, so there the read goes on until one is empty.
 *
 * The API numbers pages, it has no cursor, and contacts that come, leave or change places meanwhile push others onto another
 * page. So one may be given twice, and who takes them has to tell; and while some may have been missed, the pages are gone
 * through again. One that leaves and one that comes between the same two pages look like nothing: what they hid is not
 * found.
 *
 * Those who are passed over push others as well, but only those who are given are told apart by who takes them. So where not
 * all are given the read tells all of them apart by itself, for as long as it lasts and they are not too many; once it
 * cannot, it is blind, and goes through the pages again in any case.
 *
 * @throws RdStationError, and the signal's reason once it is aborted.
 */
export async function* readContacts(
  call: AuthorizedCall,
  { segmentationId, pageSize, after = null, written, isWanted, signal }: ContactsQuery,
): AsyncGenerator<ContactsPage, void, undefined> {
  const ended = new AbortController()
  const untilEnded = AbortSignal.any([signal, ended.signal])
  const ask = ({ page: number, total: told }: ContactsCursor) =>
    readPage(call, { segmentationId, number, pageSize, told, signal: untilEnded })
  const seen = new Set<string>()
  let at = after === null ? theBeginning : isWanted === undefined ? after : blinded(after)
  const different = async () => (isWanted === undefined || at.isBlind ? written() : seen.size)
  let last: Page | null = null
  let ahead: Promise<Page> | null = null
  try {
    for (;;) {
      if (at.isOver) {
        const next = behindPass(at, await different())
        if (next === null) return
        at = next
      }
      const page: Page = emptyIfRepeated(await (ahead ?? ask(at)), last, pageSize)
      last = page
      const { contacts, totalRows: total } = page
      const isTold = total !== undefined || at.total !== null
      const isLast = contacts.length < (isTold ? pageSize : 1)
      at = behindPage(at, { contacts: contacts.length, total, isLast })
      if (isEndless(at, pageSize)) throw endless(page, at)
      // While a page is taken the next one is on its way; of later passes nobody knows whether there will be one.
      ahead = at.pass > 1 || at.isOver ? null : ask(at)
      // What it failed with is told when it is waited for.
      ahead?.catch(() => {})
      if (isWanted !== undefined && !at.isBlind) {
        for (const { uuid } of contacts) seen.add(uuid)
        if (seen.size > mostSeen) at = blinded(at)
      }
      if (contacts.length > 0) yield { contacts: isWanted ? contacts.filter(isWanted) : contacts, cursor: at }
      if (at.pass > 1 && !at.isBlind && isPaid(at, await different())) return
    }
  } finally {
    ended.abort()
  }
}

/**
 * Nothing else would end the read from a server that tells no total and gives the same page whatever the number. One that
 * gives its last page again, which is not full, has no more.
 */
const emptyIfRepeated = (page: Page, last: Page | null, pageSize: number): Page => {
  if (page.totalRows !== undefined || last === null || page.contacts.length === 0) return page
  const isSame = ({ uuid }: Contact, index: number) => uuid === last.contacts[index]?.uuid
  if (page.contacts.length !== last.contacts.length || !page.contacts.every(isSame)) return page
  if (page.contacts.length < pageSize) return { ...page, contacts: [] }
  throw new RdStationError('unexpected_shape', 'the page is the same as the one before', { call: page.call })
}

const endless = ({ call }: Page, { began, total }: ContactsCursor): RdStationError => {
  const [first, now] = [began, total].map((count) => count?.toLocaleString('en-US'))
  return new RdStationError('endless', `the total grows as its pages are read, from ${first} to ${now} by now`, {
    call,
  })
}

/** `told`: the total that came with a page before, null if none did. */
type PageQuery = Omit<ContactsQuery, 'after' | 'written' | 'isWanted'> & { number: number; told: number | null }
type Page = { call: string; contacts: Contact[]; totalRows: number | undefined }

/** A contact may come or go between the count and the page: only a page that contradicts its total twice is one that lies. */
const readPage = async (call: AuthorizedCall, query: PageQuery): Promise<Page> => {
  const page = await askForPage(call, query)
  if (contradictionIn(page, query) === null) return page
  const again = await askForPage(call, query)
  const contradiction = contradictionIn(again, query)
  if (contradiction === null) return again
  throw new RdStationError('contradictory_total', contradiction, { call: again.call })
}

/**
 * A page that tells no total, though others did, may be that of a proxy. If it has too few for the total before, it would
 * end the read, and nobody would hear of those that are missing.
 */
const contradictionIn = ({ contacts, totalRows }: Page, { number, pageSize, told }: PageQuery): string | null => {
  const total = totalRows ?? told
  if (total === null) return null
  const left = Math.max(0, Math.min(pageSize, total - (number - 1) * pageSize))
  if (contacts.length === left || (totalRows === undefined && contacts.length > left)) return null
  const whose = totalRows === undefined ? ', told with a page before,' : ''
  return `${contacts.length} contacts came, where a total of ${total}${whose} leaves ${left} for the page`
}

const askForPage = async (
  call: AuthorizedCall,
  { segmentationId, number, pageSize, signal }: PageQuery,
): Promise<Page> => {
  const path = `/platform/segmentations/${segmentationId}/contacts?page=${number}&page_size=${pageSize}`
  const request = { method: 'GET', path, headers: {} } as const
  const { headers, json } = await call(request, signal)
  const name = callName(request)
  const { contacts } = promised(pageBody, json, name)
  const totals = promised(pageHeaders, { [totalRowsHeader]: headers(totalRowsHeader) }, name)
  return { call: name, contacts, totalRows: totals[totalRowsHeader] }
}

const pageBody = z.object({ contacts: z.array(contact) })

const totalRowsHeader = 'pagination-total-rows'
const pageHeaders = z.object({
  [totalRowsHeader]: z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .optional(),
})
