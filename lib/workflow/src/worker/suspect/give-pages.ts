import { WorkflowError } from '../../errors.ts'
import type { HeldJob, NextStep } from '../../job/held-job.ts'
import type { Pages } from '../stream/pages.ts'
import type { Given, Refusal } from './messages.ts'

/** The pages of a job in a ward. `taken` hears of each what came of it. */
export type GivenPages = Pages & { taken: (refusal: Refusal | null) => void }

type GivePagesOptions = {
  /** The job as the attempt finds it. */
  first: HeldJob
  next: NextStep
  isResumable: boolean
  /** Tells the worker. */
  say: (given: Given) => void
}

/**
 * Gives the pages of a job to the worker that holds it, one at a time, which writes them. What the job counts then is
 * kept here as well, since the end of the attempt follows from it.
 */
export const givePages = ({ first, next, isResumable, say }: GivePagesOptions): GivenPages => {
  let job = first
  let isSealed = false
  let underWay: PromiseWithResolvers<void> | null = null

  const give = (given: Given): Promise<void> => {
    underWay = Promise.withResolvers()
    say(given)
    return underWay.promise
  }

  return {
    job: () => job,
    next,
    write: async (page) => {
      // What is undefined does not come over; no cursor is ever null.
      await give({ items: page.items, cursor: page.cursor ?? null })
      // Without a cursor nothing counts until all are there, and the attempt is no other than before.
      if (isResumable) job = { ...job, emitted: job.emitted + page.items.length, attempt: 0 }
    },
    seal: async () => {
      await give(null)
      isSealed = true
    },
    isSealed: () => isSealed,
    taken: (refusal) => {
      if (refusal === null) underWay?.resolve()
      else
        underWay?.reject(new WorkflowError(refusal.code, refusal.message, { final: refusal.code !== 'attempt_failed' }))
    },
  }
}
