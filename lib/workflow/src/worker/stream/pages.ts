import type { Ending, HeldJob } from '../../job/held-job.ts'
import type { NextStep } from '../../payload/place-result.ts'
import type { BufferedPage } from './page-buffer.ts'

/** What the pages of a job are given to, one after the other. */
export type Pages = {
  /** The job as its pages have left it. */
  job: () => HeldJob
  /** Where its items go. */
  next: NextStep
  /** @throws when a page is not written: the job is another's, its items cannot be stored, or the house is at fault. */
  write: (page: BufferedPage) => Promise<void>
  /** Says of pages that are hidden until then that all are there. */
  seal: () => Promise<void>
  /** Whether that has been said: they only have to be accepted. */
  isSealed: () => boolean
}

/** How a job goes on in a new delivery whose function is done, and of whose items not all are accepted. */
export const acceptsOn = (next: NextStep): Ending => ({
  kind: 'continued',
  placed: { kind: 'items', items: [], next },
  cursor: undefined,
})

/** How a job ends of which all items are written. */
export const allGiven = (next: NextStep): Ending => ({
  kind: 'succeeded',
  placed: { kind: 'items', items: [], next },
})
