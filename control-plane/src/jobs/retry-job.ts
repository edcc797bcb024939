import { sendAgain } from '@esteira/workflow'
import type { EntityManager } from '@mikro-orm/postgresql'
import { ControlPlaneError } from '../errors.ts'

/**
 * Sends a failed job again, with another payload if one is given.
 *
 * @throws ControlPlaneError `job_unknown`, `job_not_failed`, `job_of_tick` or `run_cancelled`.
 */
export const retryJob = async (
  em: EntityManager,
  id: string,
  change: { payload?: unknown },
  lane: number,
): Promise<void> => {
  const sent = await sendAgain(em, id, { lane }, change)
  switch (sent) {
    case 'sent':
      return
    case 'job unknown':
      throw new ControlPlaneError('job_unknown', `There is no job ${id}.`)
    case 'job not failed':
      throw new ControlPlaneError('job_not_failed', `Job ${id} has not failed: only a failed one is sent again.`)
    case 'job of a tick':
      throw new ControlPlaneError('job_of_tick', `Job ${id} is a tick: start another run in its place.`)
    case 'run cancelled':
      throw new ControlPlaneError('run_cancelled', `The run of job ${id} is cancelled: nothing of it is sent again.`)
  }
}
