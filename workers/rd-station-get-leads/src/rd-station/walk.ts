import { z } from 'zod'

/**
 * Where a read is that may have to go through the pages more than once, since contacts move between pages while they are
 * read. It is what is kept behind a page.
 */
export const contactsCursor = z.object({
  /** The next page; the one behind the last page that was read. */
  page: z.int().min(1),
  /** Which time the pages are gone through. */
  pass: z.int().min(1).default(1),
  /** Whether that page was the last of the pass. */
  isOver: z.boolean().default(false),
  /** Contacts on the pages of the first pass, each as often as it came. */
  given: z.int().min(0).default(0),
  /** How many contacts may have been missed, as far as is known. */
  owed: z.int().min(0).default(0),
  /** How many different ones were read when the first pass was over, and when the one before this was. */
  first: z.int().min(0).default(0),
  before: z.int().min(0).default(0),
  /** How many there were by the last page. */
  total: z.int().min(0).nullable().default(null),
  /** How many there were by the first page that told it. */
  began: z.int().min(0).nullable().default(null),
  /** Whether contacts were passed over of which nobody knows any more which they were; then `different` counts the others. */
  isBlind: z.boolean().default(false),
})
export type ContactsCursor = z.output<typeof contactsCursor>

export const theBeginning: ContactsCursor = contactsCursor.parse({ page: 1 })

/**
 * Where the read is behind a page of so many contacts. What is missed when contacts only change places is counted at the end
 * of the first pass; one that has left, which only the total tells, may have pulled another onto a page that was read
 * already. Of later passes a total that is larger tells of contacts that need not be those that were missed.
 */
export const behindPage = (
  at: ContactsCursor,
  { contacts, total, isLast }: { contacts: number; total: number | undefined; isLast: boolean },
): ContactsCursor => {
  const change = at.total === null || total === undefined ? 0 : total - at.total
  return {
    ...at,
    page: at.page + 1,
    isOver: isLast,
    given: at.pass === 1 ? at.given + contacts : at.given,
    owed: at.owed + (at.pass === 1 ? Math.max(0, -change) : Math.abs(change)),
    total: total ?? at.total,
    began: at.began ?? total ?? null,
  }
}

/**
 * Whether a pass that is not over has gone through so many places that the API counts on as it is read, and would do so for
 * ever. Contacts that come meanwhile are read as well, so it is ten times as many as there were at the beginning, and a
 * hundred thousand more: with pages of 125 at the API's 120 calls a minute those alone take some seven minutes.
 */
export const isEndless = ({ page, isOver, began }: ContactsCursor, pageSize: number): boolean =>
  !isOver && began !== null && (page - 1) * pageSize > 10 * began + 100_000

/**
 * The same place for a read that has forgotten whom it passed over. What it has found in this pass so far is not known either
 * then, so unless there is nothing at all another pass has to find nothing.
 */
export const blinded = (at: ContactsCursor): ContactsCursor => (at.isBlind ? at : { ...at, isBlind: true, before: 0 })

/**
 * Where a read begins that was over and is sent again: the contacts that its job has had may have left since, so that how many
 * they are tells nothing of those that are there.
 */
export const readAgain: ContactsCursor = blinded(theBeginning)

/** Whether, with so many different contacts read, no other can have been missed. Only a later pass can tell before its end. */
export const isPaid = (at: ContactsCursor, different: number): boolean =>
  at.pass > 1 && !at.isBlind && different - at.first >= at.owed

/**
 * Where the read goes on when a pass is over and so many different contacts were read; null when it is over.
 *
 * All places of the first pass held a contact, so if nobody has left, as many are missed as came a second time: each place
 * that one took twice is a place that another had. A later pass that finds nothing new is the last, unless there are more
 * than have been read: one that jumps about may be missed by two. A blind read cannot tell whether one came twice, so it goes
 * through the pages until it finds nothing new.
 */
export const behindPass = (at: ContactsCursor, different: number): ContactsCursor | null => {
  if (at.pass === 1) {
    const owed = at.owed + Math.max(0, at.given - different)
    return owed === 0 && !at.isBlind
      ? null
      : { ...at, page: 1, pass: 2, isOver: false, owed, first: different, before: different }
  }
  const areMore = !at.isBlind && at.total !== null && different < at.total
  if (isPaid(at, different) || at.pass === mostPasses || (different === at.before && !areMore)) return null
  return { ...at, page: 1, pass: at.pass + 1, isOver: false, before: different }
}

/** Where contacts never come to rest, a read has to end all the same. */
const mostPasses = 4
