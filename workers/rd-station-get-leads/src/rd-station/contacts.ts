import { z } from 'zod'
import type { AuthorizedCall } from './authorized-call.ts'
import { RdStationError } from './errors.ts'
import { callName, promised } from './reply.ts'

const contact = z.looseObject({
  uuid: z.string().min(1),
  name: z.string().nullish(),
  email: z.string().nullish(),
  last_conversion_date: z.string().nullish(),
  created_at: z.string().nullish(),
  links: z.array(z.looseObject({ rel: z.string(), href: z.string() })).optional(),
})

/**
 * A contact as RD Station lists it in a segmentation. Only the uuid is needed here; what else is there is for the steps
 * that follow, and fields that are not promised are passed through.
 */
export type Contact = z.output<typeof contact>

export type ContactsQuery = {
  segmentationId: number
  /** The API gives at most 125. */
  pageSize: number
  /** Behind which page to go on, with the same page size; the first page comes first without it. */
  after?: ContactsCursor | null
  signal: AbortSignal
}

/** Where a read goes on behind a page: with which page, and what of those before it has to know. */
export const contactsCursor = z.object({
  page: z.int().min(2),
  /** The ids on the page before, which may have been pushed onto this one. */
  recent: z.array(z.string()),
})
export type ContactsCursor = z.output<typeof contactsCursor>

export type ContactsPage = { contacts: Contact[]; cursor: ContactsCursor }

/**
 * Reads the contacts of a segmentation, page by page, until one is not full. How many there are is told with each page by
 * `pagination-total-rows`; it never ends a read, since one that is too small would cut it short, but a page that is not
 * what its own total leaves for it is asked for again, and fails the read if that goes on.
 *
 * The API numbers pages, it has no cursor. A contact that is added in front while pages are read pushes others onto the
 * next page; those are left out the second time, as far back as `remembered` contacts. One that is removed pulls others
 * onto a page that was read already: they are not seen, and no client can tell. A read that goes on behind a cursor has in
 * mind those of one page.
 *
 * @throws RdStationError, and the signal's reason once it is aborted.
 */
export async function* readContacts(
  call: AuthorizedCall,
  { segmentationId, pageSize, after = null, signal }: ContactsQuery,
): AsyncGenerator<ContactsPage, void, undefined> {
  const recent = new Set<string>(after?.recent)
  for (let number = after?.page ?? 1; ; number += 1) {
    const page = await readPage(call, { segmentationId, number, pageSize, signal })
    const fresh = page.contacts.filter(({ uuid }) => !recent.has(uuid))
    const cursor = { page: number + 1, recent: page.contacts.map(({ uuid }) => uuid) }
    if (fresh.length > 0) yield { contacts: fresh, cursor }
    if (page.contacts.length < pageSize) return
    if (page.totalRows === undefined && fresh.length === 0) {
      // Nothing else would end the read from a server that gives the same page whatever the number.
      throw new RdStationError('unexpected_shape', 'the page only repeats contacts of those before', {
        call: page.call,
      })
    }
    remember(recent, fresh)
  }
}

/** The ids of a million contacts would take 100 MB; contacts are pushed on by a page or two. */
const remembered = 1_000

const remember = (recent: Set<string>, contacts: readonly Contact[]): void => {
  for (const { uuid } of contacts) recent.add(uuid)
  // A set keeps the order of insertion: the oldest come first.
  for (const uuid of recent) {
    if (recent.size <= remembered) return
    recent.delete(uuid)
  }
}

type PageQuery = Omit<ContactsQuery, 'after'> & { number: number }
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

const contradictionIn = ({ contacts, totalRows }: Page, { number, pageSize }: PageQuery): string | null => {
  if (totalRows === undefined) return null
  const left = Math.max(0, Math.min(pageSize, totalRows - (number - 1) * pageSize))
  if (contacts.length === left) return null
  return `${contacts.length} contacts came, where a total of ${totalRows} leaves ${left} for the page`
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
