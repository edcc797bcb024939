import type { SpanContext } from '@opentelemetry/api'
import type { JobOnBelt } from '../held-job.ts'
import type { NextStep } from '../../payload/place-result.ts'
import { type Child, childrenOf } from '../unit/write-children.ts'

/**
 * Items of a job that is under way. `job` is as the pages before have left it, and its claim is what the write is
 * compared with; `place` is the attempt's in its trace. `keys` tell the items apart, one each, if only new ones go on.
 */
export type PageOfJob = {
  job: JobOnBelt
  items: unknown[]
  next: NextStep
  place?: SpanContext
  keys?: readonly string[] | null
}

/**
 * What became of a page. `lost`: the job is another's by now, or over, and nothing was written. A page whose commit was
 * not answered is written again, and found to be there.
 */
export type PageFate = 'written' | 'lost'

/** The children that a page brings about. */
export const childrenOfPage = ({ job, items, next, place }: PageOfJob): Child[] => {
  const ending = { kind: 'succeeded', placed: { kind: 'items', items, next } } as const
  return [...childrenOf({ job, ending, elapsedMs: 0, ...(place && { place }) })]
}
