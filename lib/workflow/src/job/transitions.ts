import { jobStatuses, type JobStatus } from '../model/job-status.ts'

export type JobEvent =
  | 'accept'
  | 'release'
  | 'putBack'
  | 'start'
  | 'succeed'
  | 'requeue'
  | 'fail'
  | 'cancel'
  | 'sendAgain'

/**
 * All that can happen to a job. Whatever is not here is refused by the compare-and-set of the write. Statements have their
 * statuses as words; `test/house/statuses.test.ts` holds them, and the moves that they make, to this table.
 */
export const transitions = {
  hidden: { accept: 'staged' },
  staged: { release: 'queued', cancel: 'cancelled' },
  queued: {
    // Only within the unit of work that has put it there, so that nobody ever sees it.
    putBack: 'staged',
    start: 'running',
    succeed: 'succeeded',
    requeue: 'queued',
    fail: 'failed',
    cancel: 'cancelled',
  },
  running: {
    start: 'running',
    succeed: 'succeeded',
    requeue: 'queued',
    fail: 'failed',
    cancel: 'cancelled',
  },
  succeeded: {},
  failed: { sendAgain: 'staged' },
  cancelled: {},
} as const satisfies Record<JobStatus, Partial<Record<JobEvent, JobStatus>>>

/** The statuses that an event may find a job in. */
export const statusesBefore = (event: JobEvent): JobStatus[] =>
  jobStatuses.filter((status) => event in transitions[status])

/** A job that is over takes no more messages. */
export const isOver = (status: JobStatus): boolean =>
  status === 'succeeded' || status === 'failed' || status === 'cancelled'
