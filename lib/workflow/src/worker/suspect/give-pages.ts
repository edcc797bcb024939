import { WorkflowError } from '../../errors.ts'
import type { HeldJob } from '../../job/held-job.ts'
import type { NextStep } from '../../payload/place-result.ts'
import type { Pages } from '../stream/pages.ts'
import type { Counted, Given, Taken } from './messages.ts'

/** The pages of a job in a ward. `taken` hears of each what came of it. */
export type GivenPages = Pages & { taken: (taken: Taken) => void }

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
  let underWay: PromiseWithResolvers<Counted> | null = null

  /** Resolves to what the job counts then. */
  const give = (given: Given): Promise<Counted> => {
    underWay = Promise.withResolvers()
    say(given)
    return underWay.promise
  }

  return {
    job: () => job,
    next,
    write: async (page) => {
      // What is undefined does not come over; no cursor is ever null.
      const counted = await give({ items: page.items, cursor: page.cursor ?? null })
      // Without a cursor nothing counts until all are there, and the attempt is no other than before.
      if (isResumable) job = { ...job, ...counted, cursor: page.cursor }
    },
    seal: async () => {
      await give(null)
      isSealed = true
    },
    isSealed: () => isSealed,
    taken: (taken) => {
      if ('emitted' in taken) return underWay?.resolve({ emitted: taken.emitted, attempt: taken.attempt })
      const { code, message } = taken.refusal
      underWay?.reject(new WorkflowError(code, message, { final: code !== 'attempt_failed' }))
    },
  }
}
