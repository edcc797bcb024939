import type { JobRow, Message } from './run-rows.ts'
import type { Attempt } from './attempt-of-two.ts'
import type { RunOfTwo } from './two-workers.ts'
import { statusesBefore } from '../src/job/transitions.ts'

export type Jobs = ReadonlyMap<string, JobRow>

/** Whether what this attempt writes must be taken, with the job's row as it is. */
export const fits = (jobs: Jobs, { message, claim }: Attempt): boolean => {
  const job = jobs.get(message.jobId)
  return job?.seq === message.seq && job.claim === claim() && statusesBefore('succeed').includes(job.status)
}

export const oneOf = <Item>(items: readonly Item[], at: number): Item | undefined => items[at % items.length]

/**
 * What was done to the belt: how often each message was copied, of which none is left, and which came again to somebody
 * who did not take its job over in time. Of the last two kinds the search may send jobs again (decision 0017).
 */
export type Belt = { copies: Map<string, number>; lost: Set<string>; untaken: Set<string> }

export const messagesOn = ({ belt }: RunOfTwo): Message[] => belt.flatMap((one) => ('probe' in one ? [] : [one]))

export const keyOf = ({ jobId, seq }: Pick<Message, 'jobId' | 'seq'>): string => `${jobId} ${seq}`
