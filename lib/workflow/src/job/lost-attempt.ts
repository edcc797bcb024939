import { jobError } from './job-error.ts'

/** Of the worker that had a job nothing is known but that its hold is over. */
export const attemptLost = jobError(
  'attempt_lost',
  'its worker began it and never wrote how it ended: it died, lost its link to RabbitMQ, or could not write',
)

/** Nobody is known to have begun a job. */
export const messageLost = jobError(
  'message_lost',
  'its message was gone from RabbitMQ before a worker was seen to begin it, and it was sent again',
)
