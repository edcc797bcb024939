import type { Context } from 'hono'
import { z } from 'zod'
import type { Env } from './answering.ts'
import { contactsOnPage } from './contacts.ts'
import { apiErrors, fieldErrors } from './errors.ts'
import type { StandIn } from './stand-in.ts'

/** `GET /platform/segmentations/{id}/contacts`: one page of a segmentation's contacts, its place told in headers. */
export const listContacts =
  ({ seed, segmentationIds, settings, places, shuffle }: StandIn) =>
  (c: Context<Env>): Response => {
    const segmentationId = Number(c.req.param('id'))
    if (!segmentationIds.includes(segmentationId)) return c.json(apiErrors.notFound, 404)
    const query = pageQuery.safeParse(c.req.query())
    if (!query.success) return c.json(fieldErrors(pageProblems(query.error)), 422)
    const { page, page_size: pageSize } = query.data
    const { leads, totalsAdd } = settings()
    const contacts = contactsOnPage(seed, segmentationId, { page, pageSize, total: leads }, places)
    shuffle()
    return c.json({ contacts }, 200, {
      'pagination-total-rows': String(Math.max(0, leads + totalsAdd)),
      'pagination-page-size': String(pageSize),
      'pagination-page': String(page),
    })
  }

const wholeNumber = z
  .string()
  .regex(/^\d{1,9}$/)
  .transform(Number)

/** The public API's numbers: 25 contacts a page unless asked otherwise, never more than 125. */
const pageQuery = z.object({
  page: wholeNumber.pipe(z.int().positive()).default(1),
  page_size: wholeNumber.pipe(z.int().positive().max(125)).default(25),
})

const pageProblems = (error: z.ZodError) =>
  Object.fromEntries(error.issues.map((issue) => [issue.path.join('.'), [pageProblem(issue)]]))

const pageProblem = (issue: z.core.$ZodIssue) => {
  const field = issue.path.join('.')
  return issue.code === 'too_big'
    ? {
        error_type: 'MUST_BE_LESS_THAN_OR_EQUAL',
        error_message: `${field} must less than or equal to ${issue.maximum}`,
      }
    : { error_type: 'INVALID', error_message: `${field} is not valid` }
}
