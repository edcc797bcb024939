import { defineFunction, expecting, page, snooze, type StepFunction } from '@esteira/workflow'
import * as z from 'zod'
import { convertedSince } from './converted-since.ts'
import { leadOf } from './lead-of.ts'
import { leaveOut } from './leave-out.ts'
import {
  accountName,
  contactsCursor,
  ownAccount,
  putOffBy,
  readAgain,
  type RdStationAccounts,
} from './rd-station/index.ts'

/** A form or a URL gives a number as a text. */
const digits = z
  .string()
  .regex(/^[1-9]\d{0,14}$/)
  .transform(Number)

/** What can be told of a time and of an address when a step is saved; the worker sees to the rest. */
const timePattern = '^\\d{4}-\\d\\d-\\d\\dT.*(Z|[+-]\\d\\d:\\d\\d)$'
/** A call has its own path and its own credentials: what else an address may have would be dropped. */
const addressPattern = '^https?://[^/?#@]+(/[^?#]*)?$'

const idWords = 'must be a whole number above 0, or its digits as a text'
const accountWords = 'must be the name of an account: small letters and digits, 60 at most, with "-" only between them'
const addressWords = 'must be an address such as https://api.example.com, without a user, a query or a fragment'
const timeWords = 'must be an ISO date and time with its zone, such as 2026-01-31T09:00:00Z'

const configSchema = z.strictObject({
  /** Which segmentation's contacts; an expression may take it from the payload. */
  segmentationId: z.union([z.int().positive(), digits], idWords).meta(expecting(idWords)),
  /** Contacts a call; the API gives at most 125. */
  pageSize: z.int().min(1).max(125).default(125),
  /** Which account: one of which the worker has the credentials as secrets, its own unless it is named. */
  connection: z
    .string()
    .refine((name) => accountName.test(name), accountWords)
    .meta({ pattern: accountName.source, ...expecting(accountWords) })
    .default(ownAccount),
  /** Where the account's API is, if not where the worker has it; only an origin that the worker trusts. */
  baseUrl: z
    .string()
    .refine((address) => URL.canParse(address) && new RegExp(addressPattern).test(address), addressWords)
    .meta({ pattern: addressPattern, ...expecting(addressWords) })
    .optional(),
  /** The members of a contact that go on beside its uuid; all of them if left out. */
  fields: z.array(z.string().min(1)).optional(),
  /** Only contacts that have converted at this time or later; all of them if left out. */
  since: z.iso
    .datetime({ offset: true })
    .meta({ pattern: timePattern, ...expecting(timeWords) })
    .optional(),
})

/** What the first attempt asked for. An expression with `$now()` gives something else in each; pages of both are no read. */
const asked = z.object({ segmentationId: z.int(), pageSize: z.int(), since: z.string().nullable() })

/** The place of a read, of which read, and who was left out so far; what was kept by an older worker does not say that. */
const cursorSchema = contactsCursor.extend({ asked: asked.optional(), leftOut: z.array(z.string()).default([]) })

/**
 * `RdStation.getLeads`: the contacts of a segmentation of RD Station, as leads, page by page as the API gives them, each
 * once. After a kill, an error or a wait for the rate limit it goes on behind the last page that was committed. Where all
 * of them make one value nothing is committed before the end, so there it waits for the rate limit itself, as long as its
 * time allows. Of contacts that cannot be stored none holds up the others: it fails once those have gone on.
 */
export const getLeads = (accounts: Pick<RdStationAccounts, 'contacts'>): StepFunction =>
  defineFunction({
    name: 'RdStation.getLeads',
    config: configSchema,
    cursor: cursorSchema,
    // A contact that moves between pages while they are read comes twice.
    itemKey: 'uuid',
    // An API that is away for some minutes should not cost the run, and a read may have to wait for its rate limit.
    defaults: { retry: { maxAttempts: 10 }, timeoutMs: 1_200_000 },
    run: async function* ({ config, cursor: after, step, written, timeoutMs, signal }) {
      const { fields, since: sinceNow, segmentationId, pageSize, ...where } = config
      const ask = after?.asked ?? { segmentationId, pageSize, since: sinceNow ?? null }
      const { since, ...pages } = ask
      const isWhole = step.outputType !== 'multiple' || !step.hasNext
      const call = `the contacts of segmentation ${ask.segmentationId}`
      const leads = leaveOut({ leadOf: leadOf(fields), call, isWhole, before: after?.leftOut })
      const told = async () => (await written()) + leads.leftOut().length
      const query = { ...where, ...pages, isWanted: convertedSince(since), after, written: told, signal }
      try {
        for await (const { contacts, cursor } of accounts.contacts({ ...query, waitsOut: isWhole, timeoutMs })) {
          yield page(leads.of(contacts), { ...cursor, asked: ask, leftOut: leads.leftOut() })
        }
        if (leads.leftOut().length === 0) return undefined
        // Whoever sends the job again has put them right, and they may be on any page.
        yield page([], { ...readAgain, asked: ask, leftOut: [] })
        throw leads.error()
      } catch (error) {
        const putOff = putOffBy(error)
        if (putOff === null) throw error
        return snooze(putOff.delayMs, putOff.reason)
      }
    },
  })
