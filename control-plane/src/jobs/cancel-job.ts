import { cancelJob } from '@esteira/workflow'
import type { EntityManager } from '@mikro-orm/postgresql'
import { ControlPlaneError } from '../errors.ts'

/**
 * Cancels a job; one that is cancelled stays so.
 *
 * @throws ControlPlaneError `job_unknown`, `job_over` for one that ended otherwise, or `job_busy`.
 */
export const cancelJobNow = async (em: EntityManager, id: string): Promise<void> => {
  const cancelled = await cancelJob(em, id)
  switch (cancelled) {
    case 'cancelled':
      return
    case 'job unknown':
      throw new ControlPlaneError('job_unknown', `There is no job ${id}.`)
    case 'job busy':
      throw new ControlPlaneError(
        'job_busy',
        `Job ${id} is being written, or runs in a transaction of its own: try again, or cancel its run.`,
      )
    default:
      throw new ControlPlaneError('job_over', `Job ${id} is ${cancelled.over}: there is nothing to cancel.`)
  }
}
