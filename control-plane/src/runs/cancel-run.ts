import { cancelRun, heldText } from '@esteira/workflow'
import type { EntityManager } from '@mikro-orm/postgresql'
import { busy } from '../busy.ts'
import { ControlPlaneError } from '../errors.ts'

/**
 * Cancels a run as far as that goes at once; the duty does the rest. A run that is being cancelled, or was, stays so.
 *
 * @throws ControlPlaneError `run_unknown`, `run_over` for one that ended otherwise, or `run_busy`.
 */
export const cancelRunNow = async (em: EntityManager, id: string): Promise<void> => {
  const status = await cancelRun(em, id)
  if (status !== null && typeof status === 'object') throw busy('run_busy', heldText(`run ${id}`, status))
  switch (status) {
    case null:
      throw new ControlPlaneError('run_unknown', `There is no run ${id}.`)
    case 'succeeded':
    case 'failed':
    case 'skipped':
      throw new ControlPlaneError('run_over', `Run ${id} is ${status}: there is nothing to cancel.`)
    case 'running':
    case 'cancelling':
    case 'cancelled':
  }
}
