import { heldText, sendAgain } from '@esteira/workflow'
import type { EntityManager } from '@mikro-orm/postgresql'
import { busy } from '../busy.ts'
import { ControlPlaneError } from '../errors.ts'
import type { ApiContext } from '../http/api-context.ts'
import { refusePayload } from '../runs/refuse-payload.ts'

/**
 * Sends a failed job again, with another payload if one is given.
 *
 * @throws ControlPlaneError `job_unknown`, `job_not_failed`, `job_of_tick`, `run_cancelled`, `run_busy`,
 * `job_has_items` or `payload_too_large`.
 */
export const retryJob = async (
  em: EntityManager,
  id: string,
  change: { payload?: unknown },
  { lane, maxPayloadBytes }: Pick<ApiContext, 'lane' | 'maxPayloadBytes'>,
): Promise<void> => {
  const sent = await sendAgain(em, id, { lane, maxPayloadBytes }, change).catch(refusePayload('Nothing was sent again'))
  if (typeof sent === 'object') throw busy('run_busy', heldText(`job ${id}, or its run,`, sent))
  switch (sent) {
    case 'sent':
      return
    case 'job unknown':
      throw new ControlPlaneError('job_unknown', `There is no job ${id}.`)
    case 'job not failed':
      throw new ControlPlaneError('job_not_failed', `Job ${id} has not failed: only a failed one is sent again.`)
    case 'job of a tick':
      throw new ControlPlaneError('job_of_tick', `Job ${id} is a tick: start another run in its place.`)
    case 'job has given items':
      throw new ControlPlaneError(
        'job_has_items',
        `Job ${id} has given items and goes on behind them: it can be sent again, but with no other payload.`,
      )
    case 'run cancelled':
      throw new ControlPlaneError('run_cancelled', `The run of job ${id} is cancelled: nothing of it is sent again.`)
  }
}
