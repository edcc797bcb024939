import type { SpanContext } from '@opentelemetry/api'
import * as z from 'zod'
import type { HeldJob } from '../../job/held-job.ts'
import type { By } from '../../job/unit/write-unit.ts'

/**
 * A job that is to be attempted in a ward. `place` is where its processing is in its trace; `stream` is how its items are
 * given page by page, null when they are not.
 */
export type Suspect = {
  job: HeldJob
  place: SpanContext
  timeoutMs: number
  stream: { pageItems: number; continueMs: number } | null
}

/** Why a page was not written. */
export type Refusal = { code: 'attempt_failed' | 'output_rejected'; message: string }

/** What came of a page: how many children the job has with it, and how many tries that have failed; or why it is not there. */
export type Taken = Counted | { refusal: Refusal }
export type Counted = { emitted: number; attempt: number }

/**
 * What a worker tells its ward: of a job that it is to attempt, of one whose function is to end, and that a page was
 * written, with how many children the job has now, or not. `by` is for jobs whose units of work the ward writes itself.
 * And that its worker is asked to stop, so that such a job waits for its row no more.
 */
export type Asked =
  | { kind: 'attempt'; id: number; suspect: Suspect; by: By }
  | { kind: 'taken'; id: number; taken: Taken }
  | { kind: 'abort'; id: number; code: 'cancelled' | 'attempt_failed'; reason: string }
  | { kind: 'stop-waiting' }

const nextSchema = z.object({ id: z.string(), functionName: z.string() })

/** What JSON has no text for, such as a function, is left out on the way, and null like everywhere else. */
const valueSchema = z.unknown().default(null)

const placedSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('items'), items: z.array(valueSchema), next: nextSchema }),
  z.object({ kind: z.literal('whole'), result: valueSchema, next: nextSchema }),
  z.object({ kind: z.literal('input'), next: nextSchema }),
  z.object({ kind: z.literal('output'), output: valueSchema }),
])

const errorSchema = z.object({ code: z.string(), message: z.string() })

const endingSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('succeeded'), placed: placedSchema }),
  z.object({ kind: z.literal('failed'), error: errorSchema }),
  z.object({ kind: z.literal('cancelled') }),
  z.object({
    kind: z.literal('requeued'),
    attempt: z.int(),
    delayMs: z.number(),
    error: errorSchema.nullable(),
  }),
  z.object({ kind: z.literal('continued'), placed: placedSchema, cursor: valueSchema }),
])

/**
 * What became of an attempt: how it ended, which is still to be written; what was written in a unit of work of its own;
 * that the job was lost to somebody else; that somebody holds its row, so that it was not attempted; or that the house was at
 * fault, so that nothing is known.
 */
const answerSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ended'), ending: endingSchema, elapsedMs: z.number() }),
  z.object({ kind: z.literal('written'), ending: endingSchema, toSettle: z.array(z.string()) }),
  z.object({ kind: z.literal('lost') }),
  z.object({ kind: z.literal('held') }),
  z.object({ kind: z.literal('broken'), reason: z.string() }),
])
export type Answer = z.output<typeof answerSchema>

/** Items together, and the cursor behind them; null instead says that all pages are there. */
const givenSchema = z.object({ items: z.array(valueSchema), cursor: z.unknown() }).nullable()
export type Given = z.output<typeof givenSchema>

/**
 * What a ward tells its worker: that it takes jobs, that it lives, that it is about to attempt a job, that the job's config
 * is filled in and its function about to be called, that this is over where the ward writes the end itself, a page that it
 * gave, what came of it (`runsOn`: its function has not ended), and that an error is about to end the process.
 */
export const saidSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready') }),
  z.object({ kind: z.literal('alive') }),
  z.object({ kind: z.literal('begun'), id: z.int() }),
  z.object({ kind: z.literal('filled'), id: z.int() }),
  z.object({ kind: z.literal('called'), id: z.int() }),
  z.object({ kind: z.literal('gave'), id: z.int(), given: givenSchema }),
  z.object({ kind: z.literal('answer'), id: z.int(), answer: answerSchema, runsOn: z.boolean() }),
  z.object({ kind: z.literal('uncaught'), name: z.string() }),
])
export type Said = z.output<typeof saidSchema>
